#!/usr/bin/env python3
"""Adds up GoogleTest's XML results in a folder: prints failures, then `N passed, N failed`. Exit code 1 if any failed,
or if nothing ran."""
import pathlib, sys
import xml.etree.ElementTree as xml


def main(folder):
    passed = failed = 0
    for file in sorted(pathlib.Path(folder).rglob("*.xml")):
        for case in xml.parse(file).getroot().iter("testcase"):
            if case.get("status") == "notrun" or case.find("skipped") is not None:
                continue
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
                print(f"failed: {file.stem}: {case.get('classname')}.{case.get('name')}")
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
