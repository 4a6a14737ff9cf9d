"""A real RTSP server, GStreamer's, for tests: `python rtsp_server.py PORT` with a Python that has PyGObject.

It prints "serving" when it listens, and shows a moving ball at rtsp://127.0.0.1:PORT/line, 320x240, 25 a second.
"""

import sys

PIPELINE = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 "
    "! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)


def main(port: str) -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    media = GstRtspServer.RTSPMediaFactory.new()
    media.set_launch(PIPELINE)
    media.set_shared(True)
    server.get_mount_points().add_factory("/line", media)
    server.attach(None)
    print("serving", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(sys.argv[1])
