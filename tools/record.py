#!/usr/bin/env python3
"""Records a session with the real programs as an SVG: tools/record.py [BIN_DIR] writes docs/src/pictures/session.svg.

BIN_DIR has falcond, falcon-worker and falcon-cli; without it they are built first. The commands run in a terminal of their
own, in an empty directory, with pauses as somebody would make who types. The picture shows what they wrote, in its
colors, and nothing is edited. It asks for nothing from elsewhere, is readable in light and in dark, and stands still for
those who want no motion. `--list` only lists the commands.
"""

import fcntl
import html
import os
import pty
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

# What is typed, and what is written beside it. One that ends in & stays; what it says is left out.
SESSION = [
    "falcond &",
    "falcon-cli submit greetings 'hello world' --keep 10m",
    "kill -9 %falcond",
    "falcond &",
    "falcon-worker --queue greetings -- tr a-z A-Z &",
    "falcon-cli wait last",
    "falcon-cli job log last",
    "falcon-cli queue list",
]
COLUMNS, ROWS = 96, 40
CHAR_WIDTH, LINE_HEIGHT, MARGIN = 8.4, 20, 20
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PICTURE = os.path.join(ROOT, "docs/src/pictures/session.svg")
# SGR codes that change how a letter looks, as classes of the style below.
COLORS = {30 + n: name for n, name in enumerate("black red green yellow blue magenta cyan white".split())}
COLORS.update({90 + n: name for n, name in enumerate("grey red green yellow blue magenta cyan white".split())})
STYLE = """
  .page { fill: #ffffff; stroke: #cbd5e1; }
  text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre; fill: #0f172a; }
  .prompt { fill: #c2410c; } .typed { font-weight: 600; } .bold { font-weight: 600; } .dim, .grey { fill: #64748b; }
  .red { fill: #b91c1c; } .green { fill: #15803d; } .yellow { fill: #a16207; } .blue { fill: #1d4ed8; }
  .magenta { fill: #a21caf; } .cyan { fill: #0e7490; }
  .line { animation: show 0.01s backwards; }
  @keyframes show { from { opacity: 0; } to { opacity: 1; } }
  @media (prefers-reduced-motion: reduce) { .line { animation: none; } }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0f172a; stroke: #334155; } text { fill: #e2e8f0; } .prompt { fill: #fb923c; }
    .dim, .grey { fill: #94a3b8; } .red { fill: #f87171; } .green { fill: #4ade80; } .yellow { fill: #facc15; }
    .blue { fill: #60a5fa; } .magenta { fill: #e879f9; } .cyan { fill: #22d3ee; }
  }
"""


class Shell:
    """A bash on a terminal of its own."""

    def __init__(self, directory, environment):
        self.mark = "\x07done\x07"
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], environment)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.until_quiet()
        # Neither what is typed nor words about jobs of the shell come back.
        self.run("stty -echo; PS1=; PS2=; set +o monitor; set -o pipefail")

    def run(self, command):
        """Runs a line; gives back what was written until it was done."""
        os.write(self.terminal, f"{command}\nprintf '\\a%s\\a' done\n".encode())
        return self.read(lambda text: self.mark in text, 60).split(self.mark)[0]

    def until_quiet(self):
        self.read(lambda _: False, 0.5)

    def read(self, is_enough, seconds):
        text, end = b"", time.monotonic() + seconds
        while time.monotonic() < end:
            ready, _, _ = select.select([self.terminal], [], [], 0.1)
            if ready:
                text += os.read(self.terminal, 65536)
            if is_enough(text.decode(errors="replace")):
                return text.decode(errors="replace")
        if seconds > 1:
            sys.exit(f"no end of a command; it wrote {text!r}")
        return ""


def lines_of(written):
    """What a terminal shows of this: lines of (class, text), with what was overwritten gone."""
    shown = []
    for line in written.replace("\r\n", "\n").split("\n"):
        line = re.sub(r"\x1b\[[0-9;?]*[A-LN-Za-ln-z]|\x1b[()][A-Z0-9]|\x1b\][^\x07]*\x07", "", line.split("\r")[-1])
        parts, classes = [], set()
        for code, text in re.findall(r"(?:\x1b\[([0-9;]*)m)?([^\x1b]*)", line):
            for number in [int(n or 0) for n in code.split(";")] if code is not None else []:
                if number == 0 and "\x1b" in line:
                    classes = set()
                elif number in (1, 2):
                    classes.add({1: "bold", 2: "dim"}[number])
                elif number == 22:
                    classes -= {"bold", "dim"}
                elif number == 39:
                    classes -= set(COLORS.values())
                elif number in COLORS:
                    classes = (classes - set(COLORS.values())) | {COLORS[number]}
            if text:
                parts.append((" ".join(sorted(classes)), text))
        shown.append(parts)
    while shown and not shown[-1]:
        shown.pop()
    return shown


def wrapped(parts):
    """A line, cut where the terminal is at its end."""
    rows, row, left = [], [], COLUMNS
    for name, text in parts:
        while text:
            row.append((name, text[:left]))
            left, text = left - len(text[:left]), text[left:]
            if left == 0:
                rows, row, left = rows + [row], [], COLUMNS
    return rows + [row] if row or not rows else rows


def record(bin_dir, directory):
    port = socket.socket()
    port.bind(("127.0.0.1", 0))
    address = "127.0.0.1:%d" % port.getsockname()[1]
    port.close()
    environment = {name: os.environ[name] for name in ("HOME", "LANG", "USER") if name in os.environ}
    environment.update(PATH=f"{bin_dir}:{os.environ['PATH']}", TERM="xterm-256color", TZ="UTC")
    # The picture is of the usual address; somebody may have a master there.
    environment.update(FALCON_MASTER=address, FALCOND_LISTEN=address, FALCOND_SEGMENT_BYTES="16777216")
    shell = Shell(directory, environment)
    shots = []
    try:
        for command in SESSION:
            if command.endswith("&"):
                shell.run(command[:-1] + ">/dev/null 2>&1 &")
                shots.append((command, []))
                time.sleep(1)
            else:
                shots.append((command, lines_of(shell.run(command))))
            time.sleep(0.3)
    finally:
        shell.run("kill $(jobs -p); wait")
        os.write(shell.terminal, b"exit\n")
        os.waitpid(shell.pid, 0)
    return shots


def drawn(shots):
    rows, at_s = [], 0.0
    for command, lines in shots:
        rows.append((at_s, [("prompt", "$ "), ("typed", command)]))
        at_s += 0.9
        for line in lines:
            for row in wrapped(line):
                rows.append((at_s, row))
        at_s += 0.5
    width, height = COLUMNS * CHAR_WIDTH + 2 * MARGIN, len(rows) * LINE_HEIGHT + 2 * MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img">']
    out.append("<title>A session: a master, a job, the master killed and started again, and a worker for the job</title>")
    out.append(f"<style>{STYLE}</style>")
    out.append(f'<rect class="page" x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1}" rx="8"/>')
    for number, (at_s, row) in enumerate(rows):
        y = MARGIN + (number + 0.75) * LINE_HEIGHT
        spans = "".join(f'<tspan class="{name}">{html.escape(text, quote=False)}</tspan>' for name, text in row)
        delay = f' style="animation-delay: {at_s:.1f}s"'
        out.append(f'<text class="line" x="{MARGIN}" y="{y:.0f}" xml:space="preserve"{delay}>{spans}</text>')
    return "\n".join(out + ["</svg>", ""])


def main():
    if "--list" in sys.argv:
        print("\n".join(SESSION))
        return
    if len(sys.argv) > 1:
        bin_dir = os.path.abspath(sys.argv[1])
    else:
        build = os.path.join(ROOT, "tools/built.sh")
        bin_dir = subprocess.run([build, "--bins"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    if not shutil.which("falcond", path=bin_dir):
        sys.exit(f"there is no falcond in {bin_dir}")
    with tempfile.TemporaryDirectory(prefix="falcon-record-") as directory:
        shots = record(bin_dir, directory)
    os.makedirs(os.path.dirname(PICTURE), exist_ok=True)
    with open(PICTURE, "w") as picture:
        picture.write(drawn(shots))
    for command, lines in shots:
        print(f"$ {command}")
        for line in lines:
            print("".join(text for _, text in line))


main()
