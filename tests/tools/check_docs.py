#!/usr/bin/env python3
"""Checks README.md and docs/*.md: every block of commands says whether it is run, links lead somewhere; and with --run it runs
those that are to be run, each file's one after the other in a folder of their own, with the program on PATH.

A block of commands begins with one of
    ```sh run                   run by this program
    ```sh run-engine            run where DOCKER_HOST names an engine; $ENGINE is its address
    ```sh not-run: the reason   shown only
In a block $SOURCE is this checkout. Whatever it leaves running is ended after it."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```", re.M | re.S)
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
SHELL = {"sh", "bash", "shell", "console"}


def files():
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(text):
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {"#" + re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def faults_of(path):
    text = path.read_text()
    for _, info, _ in BLOCK.findall(text):
        words = info.split(None, 1)
        if not words or words[0] not in SHELL:
            continue
        mark = words[1] if len(words) > 1 else ""
        if words[0] != "sh" or not (mark in ("run", "run-engine") or re.fullmatch(r"not-run: \S.*", mark)):
            yield f"a block begins with ```{info}: mark it as `sh run`, `sh run-engine` or `sh not-run: reason`"
    for target, anchor in LINK.findall(BLOCK.sub("", text)):
        if "://" in target:
            continue
        file = (path.parent / target) if target else path
        if not file.exists():
            yield f"a link leads nowhere: {target}"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
            yield f"a link leads to no heading: {target}{anchor}"


def run_block(script, folder, environment):
    """Its output if it failed, else nothing."""
    process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        output = "not done after 120 s"
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return output if process.wait() != 0 else None


def run_blocks(path, binary, engine):
    """How many ran, and what failed."""
    ran, failed = 0, []
    folder = tempfile.mkdtemp(prefix="ebbtide-docs-")
    environment = {"PATH": f"{pathlib.Path(binary).resolve().parent}:{os.environ['PATH']}", "HOME": folder,
                   "SOURCE": str(ROOT), "LANG": "C.UTF-8"}
    if engine:
        environment.update(DOCKER_HOST=engine, ENGINE=engine)
    for indent, info, script in BLOCK.findall(path.read_text()):
        if info.strip() == "sh run" or (info.strip() == "sh run-engine" and engine):
            ran += 1
            output = run_block(re.sub("^" + indent, "", script, flags=re.M), folder, environment)
            if output is not None:
                failed.append(f"{path.relative_to(ROOT)}: this failed:\n{script}it said:\n{output}")
    shutil.rmtree(folder, ignore_errors=True)
    return ran, failed


def main():
    faults = [f"{path.relative_to(ROOT)}: {fault}" for path in files() for fault in faults_of(path)]
    ran = 0
    if "--run" in sys.argv and not faults:
        binary = os.environ.get("EBBTIDE_BINARY", str(ROOT / "build/dev/ebbtide"))
        for path in files():
            count, failed = run_blocks(path, binary, os.environ.get("DOCKER_HOST"))
            ran += count
            faults += failed
    print("\n".join(faults) or f"{len(files())} documents are as they should be; {ran} blocks of commands ran")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
