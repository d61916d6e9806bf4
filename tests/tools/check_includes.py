#!/usr/bin/env python3
"""Checks what includes what: api -> plugin -> docker, never back, and third-party headers behind their fences."""
import pathlib, re, sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Folder: the folders it may include, besides itself.
ALLOWED = {
    "docker/base": [],
    "docker/engine": ["docker/base"],
    "docker/http": ["docker/base", "docker/engine"],
    "docker/grpc": ["docker/base", "docker/http"],
    "docker/ledger": ["docker/base", "docker/engine"],
    "docker/gateway": ["docker/base", "docker/engine", "docker/grpc", "docker/http", "docker/ledger"],
    "plugin": ["docker/base", "docker/engine", "docker/ledger", "docker/gateway"],
    "api": ["plugin", "docker/base", "docker/engine", "docker/ledger", "docker/gateway"],
}

# Header (as a prefix of its name): the files that may include it.
FENCES = {
    "httplib.h": r"api/http_server\.cpp",
    "curl/": r"docker/engine/.*\.cpp",
    "SQLiteCpp/": r"(docker/ledger|plugin)/.*\.cpp|api/accounts\.cpp",
    "toml++/": r"api/settings\.cpp",
    "CLI/": r"api/main\.cpp",
    "prometheus/": r"api/metrics\.cpp",
    "spdlog/": r"docker/base/log\.cpp",
    "boost/": r"docker/(grpc|http|gateway)/.*",
    "nghttp2/": r"docker/grpc/http2\.cpp",
    "archive": r"docker/gateway/build_archive\.cpp",
    "google/": r"",
    "openssl/": r"docker/(base/(secret|password)|gateway/authority|http/tls_stream)\.cpp|api/certificate\.cpp",
}

# Text that must not stand in the product, and why.
BANNED = {
    r"asio::detached": "it hides faults: spawn with a completion handler",
    r"std::regex": "it recurses: not for text from outside",
    r"\.detach\(\)": "every thread has an owner",
}


def folder_of(path):
    return next((f for f in sorted(ALLOWED, key=len, reverse=True) if path.startswith(f + "/")), None)


def faults_of(path, text):
    folder = folder_of(path)
    for line in re.findall(r'#include "([^"]+)"', text):
        target = folder_of(line)
        if target and target != folder and target not in ALLOWED[folder]:
            yield f"{path}: {folder} may not include {line}"
    for line in re.findall(r"#include <([^>]+)>", text):
        for prefix, pattern in FENCES.items():
            if line.startswith(prefix) and not re.fullmatch(pattern, path):
                yield f"{path}: <{line}> belongs in {pattern}"
    for pattern, why in BANNED.items():
        if re.search(pattern, text):
            yield f"{path}: {pattern}: {why}"


def main():
    faults = []
    files = [p for f in ("docker", "plugin", "api") for p in (ROOT / f).rglob("*") if p.suffix in (".h", ".cpp")]
    for file in files:
        faults += faults_of(str(file.relative_to(ROOT)), file.read_text())
    print("\n".join(faults) or f"includes of {len(files)} files are as they should be")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
