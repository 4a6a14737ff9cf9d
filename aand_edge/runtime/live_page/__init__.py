"""The live page: what someone beside the conveyor sees in a browser.

board      what is shown, gathered from events      access    token, hosts and origins
pictures   JPEG with heat                           server    the routes
showing    draws what is watched                    serving   the thread, and who may knock
watcher    one browser's connection

`sinks.live_page` puts it together. `static/` is plain HTML, CSS and JavaScript, and asks nobody else for anything.
"""
