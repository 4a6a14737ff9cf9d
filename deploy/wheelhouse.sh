#!/usr/bin/env bash
# Everything that a device without internet needs to install aand-edge, in one folder: wheels for its Python and
# processor, their checksums, install.sh and the systemd unit. Runs on any Linux machine with internet and Python.
#
#   deploy/wheelhouse.sh TARGET FOLDER [EXTRA,EXTRA...]
#
#   jetpack6        Python 3.10, aarch64; TensorRT and OpenCV are JetPack's
#   jetpack7        Python 3.12, aarch64; likewise
#   3.12-x86_64     a PC; any VERSION-PROCESSOR, processors are x86_64 and aarch64
set -euo pipefail

usage() { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
if [ $# -lt 2 ] || [ $# -gt 3 ]; then usage; fi

# numpy<2: JetPack's OpenCV is compiled against NumPy 1. cuda-python: no newer than JetPack's CUDA, 12.6 and 13.2.
constraints=()
case $1 in
    jetpack6) python=3.10 processor=aarch64 glibc=35 jetson=yes constraints=('numpy<2' 'cuda-python<12.7') ;;
    jetpack7) python=3.12 processor=aarch64 glibc=39 jetson=yes constraints=('numpy<2' 'cuda-python<13.3') ;;
    3.1[0-9]-x86_64 | 3.1[0-9]-aarch64) python=${1%%-*} processor=${1#*-} glibc=35 jetson= ;;
    *) usage ;;
esac
if [ -e "$2" ]; then
    echo "error: $2 exists already. Name another folder." >&2
    exit 2
fi
extras=${3:-$([ -n "$jetson" ] && echo tensorrt,gpio,plc,mqtt,metrics,web || echo cpu,opencv,plc,mqtt,metrics,web)}
# Wheels that their authors do not make; all are pure Python.
sources='jetson-gpio'

repository=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder=$work/wheelhouse
mkdir "$folder"

# uv chooses versions as the device would: pip reads the markers of packages (Python, processor) for this machine.
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --upgrade pip uv
printf '%s\n' "${constraints[@]}" >"$work/constraints.txt"
IFS=, read -ra names <<<"$extras"
"$work/venv/bin/uv" pip compile --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
    --python-version "$python" --python-platform "$processor-manylinux_2_$glibc" \
    --constraint "$work/constraints.txt" "${names[@]/#/--extra=}" \
    "$repository/pyproject.toml" >"$work/all.txt"

from_source() { grep -E "^($sources)==" "$work/all.txt" || true; }
grep -vE "^($sources)==" "$work/all.txt" >"$work/wheels.txt"
platforms=(--platform "linux_$processor" --platform "manylinux2014_$processor")
for minor in $(seq 17 "$glibc"); do platforms+=(--platform "manylinux_2_${minor}_$processor"); done
"$work/venv/bin/pip" download --quiet --dest "$folder" --no-deps --only-binary=:all: \
    --python-version "$python" --implementation cp "${platforms[@]}" --requirement "$work/wheels.txt"
# shellcheck disable=SC2046  # one word a package
"$work/venv/bin/pip" wheel --quiet --wheel-dir "$folder" --no-deps "$repository" $(from_source)

wheel=$(basename "$folder"/aand_edge-*.whl)
version=${wheel#aand_edge-}
version=${version%%-*}
{ cat "$work/all.txt"; echo "aand-edge==$version"; } >"$folder/requirements.txt"
cp "$repository/deploy/aand-edge@.service" "$repository/deploy/jetson.conf" "$folder/"
cat >"$folder/install.sh" <<END
#!/bin/sh
# Installs aand-edge $version for Python $python on $processor into PREFIX/$version and names it PREFIX/current.
#   sh install.sh [PREFIX]     /opt/aand-edge by default, which wants root
set -eu
cd "\$(dirname "\$0")"
sha256sum --check --quiet SHA256SUMS
venv=\${1:-/opt/aand-edge}/$version
python$python -m venv ${jetson:+--system-site-packages }"\$venv"
"\$venv/bin/python" -m pip install --quiet --no-index --find-links . --requirement requirements.txt
ln -sfn $version "\$(dirname "\$venv")/current"
"\$venv/bin/aand-edge" doctor
END
(cd "$folder" && sha256sum -- *.whl requirements.txt install.sh aand-edge@.service jetson.conf >SHA256SUMS)
mkdir -p "$(dirname "$2")"
mv "$folder" "$2"
echo "$(find "$2" -name '*.whl' | wc -l) wheels, $(du -sh "$2" | cut -f1), in $2."
echo "Copy it to the device and run there: sudo sh install.sh"
