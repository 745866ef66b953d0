"""`exec`: a program in a container between this process's streams. It is not a child in our session: who kills the client leaves
it running, as the real one does, unless it notices that its input has ended."""
import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import tty


def shell_status(returncode):
    return returncode if returncode >= 0 else 128 - returncode


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def on_pipes(argv, interactive):
    process = subprocess.Popen(argv, stdin=subprocess.PIPE if interactive else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True, bufsize=0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: process.send_signal(got))
    sources = {process.stdout.fileno(): 1, process.stderr.fileno(): 2}
    if interactive:
        sources[0] = process.stdin.fileno()
    while any(fd != 0 for fd in sources):
        for fd in select.select(list(sources), [], [])[0]:
            data = os.read(fd, 65536)
            try:
                write_all(sources[fd], data)
            except BrokenPipeError:
                data = b""
            if not data:
                if fd == 0:
                    process.stdin.close()
                del sources[fd]
    return shell_status(process.wait())


def on_a_terminal(argv, interactive):
    master, slave = os.openpty()

    def take_the_size(*_):
        with contextlib.suppress(OSError):
            fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0)))

    before = None
    if interactive and os.isatty(0):
        before = termios.tcgetattr(0)
        tty.setraw(0)
        take_the_size()
        signal.signal(signal.SIGWINCH, take_the_size)

    def own_it():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_it, close_fds=True)
    os.close(slave)
    sources = {master: 1}
    if interactive:
        sources[0] = master
    try:
        while master in sources:
            for fd in select.select(list(sources), [], [])[0]:
                try:
                    data = os.read(fd, 65536)
                except OSError:  # EIO: nobody has the other end any more
                    data = b""
                if data:
                    write_all(sources[fd], data)
                else:
                    del sources[fd]
        return shell_status(process.wait())
    finally:
        if before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
        sys.stdout.flush()
