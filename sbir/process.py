"""How a process of this project ends: at once, when its work is done and on disk."""

import atexit
import os
import sys
import threading
from typing import NoReturn

UNREAD = 120  # exit status where nobody reads the output any more, Python's own


def leave(status: int) -> NoReturn:
    """End this process like `sys.exit`, without taking torch and its kin apart object by object.

    That takes one to two seconds of every command. What was registered with `atexit` runs, and standard output and
    error are written out. With another thread that has to end first, and in a process that another program began (a
    notebook, a test), which goes on, it is `sys.exit`.
    """
    if sys.argv[0] not in sys.orig_argv:
        sys.exit(status)
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if not all(thread.daemon for thread in others):
        sys.exit(status)
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        status = status or UNREAD
    os._exit(status)
