#!/usr/bin/env bash
# The main job in a workspace of its own: render or take pictures, train, export, build fp32, fp16 and int8, bench.
# usage: demo.sh WORKSPACE [DATA]      called by `make demo`
#        demo.sh --look [DATA]         only says where DATA is no folder, before anything is installed
set -euo pipefail
workspace=$1
data=${2:-}
if [ -n "$data" ] && ! data=$(cd "$data" 2>/dev/null && pwd); then
  echo "error: There is no folder ${2}. Give DATA the folder of your pictures, or leave it out for a rendered set." >&2
  exit 2
fi
if [ "$workspace" = --look ]; then exit; fi

mkdir -p "$workspace"
if [ ! -f "$workspace/aand-edge.toml" ]; then
  if [ -n "$data" ]; then
    aand-edge init "$workspace" --data "$data" --backbone efficientnet_lite0 --preset short
  else
    aand-edge init "$workspace" --sample --backbone efficientnet_lite0 --preset short
  fi
fi
cd "$workspace"

aand-edge doctor
# The rendered set is small, so it takes more passes for as many steps.
if [ -n "$data" ]; then aand-edge train; else aand-edge train --epochs-amplify 8 --epochs-distill 24; fi
aand-edge export --precision fp32
aand-edge export --precision fp16
aand-edge build --precision fp32
aand-edge build --precision fp16
aand-edge build --precision int8
aand-edge bench --eager
