"""./check: its arguments, its sums and its exit code, on a small project of its own."""

import shutil

from support import Checkout, main, skip

PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(sample C)
enable_testing()
add_library(sample STATIC sample.c)
target_sources(sample PUBLIC FILE_SET HEADERS FILES sample.h)
add_test(NAME good COMMAND true)
set_tests_properties(good PROPERTIES LABELS unit)
"""


class Sample(Checkout):
    def __init__(self, tests="", header="int sample(void);\n", source='#include "sample.h"\nint sample(void) { return 1; }\n'):
        super().__init__("check", ".ci/run", "deploy", "CMakePresets.json")
        self.program("dpkg-query", "#!/bin/sh\necho installed\n")
        self.environment.pop("CI", None)
        (self.root / "CMakeLists.txt").write_text(PROJECT + tests)
        (self.root / "sample.h").write_text(header)
        (self.root / "sample.c").write_text(source)

    def check(self, *arguments, program="check"):
        result = self.run("bash", self.root / program, *arguments, cwd="/", timeout=100)
        result.last = result.stdout.splitlines()[-1] if result.stdout else ""
        return result


def test_help_is_given():
    with Sample() as sample:
        for flag in "--help", "-h":
            result = sample.check(flag)
            assert result.returncode == 0 and "Usage: ./check" in result.stdout, result


def test_an_unknown_argument_ends_with_2():
    with Sample() as sample:
        result = sample.check("--fats")
        assert result.returncode == 2 and "--fats" in result.stdout and "--help" in result.stdout, result


def test_the_last_line_sums_what_ran():
    with Sample() as sample:
        result = sample.check("--fast")
        assert (result.returncode, result.last) == (0, "2 passed, 0 failed, 0 skipped"), result  # the test, the headers


def test_every_preset_counts():
    with Sample() as sample:
        result = sample.check(program=".ci/run")
        assert (result.returncode, result.last) == (0, "5 passed, 0 failed, 0 skipped"), result


def test_a_failing_test_is_shown_and_counted():
    tests = 'add_test(NAME bad COMMAND sh -c "echo the story; exit 1")\nadd_test(NAME missing COMMAND /nowhere/at/all)\n'
    with Sample(tests) as sample:
        result = sample.check("--fast")
        assert (result.returncode, result.last) == (1, "2 passed, 2 failed, 0 skipped"), result
        assert "the story" in result.stdout, result


def test_a_skipped_test_is_counted_and_says_why():
    tests = """
add_test(NAME skipped COMMAND sh -c "echo first; echo 'no <engine> & no \\"luck\\"'; exit 77")
set_tests_properties(skipped PROPERTIES SKIP_RETURN_CODE 77)
"""
    with Sample(tests) as sample:
        result = sample.check("--fast")
        assert (result.returncode, result.last) == (0, "2 passed, 0 failed, 1 skipped"), result
        assert 'Skipped skipped: no <engine> & no "luck"' in result.stdout, result


def test_a_build_failure_is_shown_and_counted():
    with Sample(source="what is this\n") as sample:
        result = sample.check("--fast")
        assert (result.returncode, result.last) == (1, "0 passed, 1 failed, 0 skipped"), result
        assert "sample.c:1" in result.stdout, result


def test_a_header_that_does_not_stand_alone_fails():
    with Sample(header="size_t sample(void);\n", source='#include <stddef.h>\n#include "sample.h"\n') as sample:
        result = sample.check("--fast")
        assert (result.returncode, result.last) == (1, "1 passed, 1 failed, 0 skipped"), result


def test_no_test_at_all_is_a_failure():
    with Sample("set_property(DIRECTORY PROPERTY LABELS x)\n") as sample:
        lists = sample.root / "CMakeLists.txt"
        lists.write_text(lists.read_text().replace("add_test(NAME good COMMAND true)\nset_tests_properties(good PROPERTIES LABELS unit)\n", ""))
        result = sample.check("--fast")
        assert result.returncode == 1 and result.last == "1 passed, 1 failed, 0 skipped", result


def test_a_refused_installation_stops_it():
    with Sample() as sample:
        sample.program("dpkg-query", '#!/bin/sh\n[ "$4" = mandoc ] || echo installed\n')
        sample.program("apt-cache", "#!/bin/sh\necho '  Candidate: 1'\n")
        sample.program("sudo", '#!/bin/sh\nexec "$@"\n')
        sample.program("apt-get", "#!/bin/sh\necho refused\nexit 100\n")
        result = sample.check("--fast")
        assert result.returncode == 1 and "could not install: mandoc" in result.stdout, result


if not shutil.which("ninja") or not shutil.which("clang"):
    skip("ninja and clang are needed for this")
main(globals())
