"""
The page that the server shows to browsers, in a headless Chromium. Each test is a case of page.mjs, which brings up a server
of its own; here is only what has to be there before: node, Chromium, and the two packages of package.json from npm, in the
build folder.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import npm
from talk import BUILD_KIND, main, program, skip

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WEB = ROOT / "tcpserver" / "web"
CASE_SECONDS = {"plain": 150, "asan": 400, "tsan": 800}.get(BUILD_KIND, 800)


def browser():
    for name in "chromium-headless-shell", "chromium", "chromium-browser":
        if shutil.which(name):
            return shutil.which(name)
    return skip("there is no Chromium; ./check --full installs it")


def packages():
    return npm.packages(HERE, "web-npm", "playwright-core and axe-core")


def case(name):
    """Runs a case of page.mjs; it ends by itself, and with it the server and the browser that it started."""
    environment = dict(os.environ, TCPSERVER=program("TCPSERVER"), BROWSER=browser(), PACKAGES=str(packages()))
    done = subprocess.run(["node", str(HERE / "page.mjs"), name], env=environment, stdin=subprocess.DEVNULL,
                          timeout=CASE_SECONDS, check=False)
    assert done.returncode == 0, f"{name}: exit code {done.returncode}"


def test_the_page_makes_nothing_of_text_but_text():
    files = {path.name: path.read_text(encoding="utf-8") for path in WEB.glob("chat.*")}
    assert set(files) == {"chat.html", "chat.css", "chat.mjs"}
    ways = (r"innerHTML|outerHTML|insertAdjacent|document\.write|createContextualFragment|DOMParser|setHTML|srcdoc|\beval\b|"
            r"new Function|javascript:|createElementNS|\son\w+=\"|style=\"|<style|import\(")
    for name, text in files.items():
        assert not re.search(ways, text), (name, re.search(ways, text))
        foreign = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text)) - {"http://www.w3.org"}
        assert not foreign, (name, foreign)
    assert not re.search(r"<script(?! type=\"module\" src=\"/chat.mjs\"></script>)", files["chat.html"])


def test_two_pages_and_a_telnet_see_the_same_numbers():
    case("numbers")


def test_nothing_is_lost_or_doubled_when_the_network_breaks():
    case("cuts")


def test_nothing_is_lost_or_doubled_when_the_server_is_killed():
    case("kill")


def test_what_was_written_offline_outlives_the_tab_and_is_said_once():
    case("outbox")


def test_tabs_do_not_share_numbers():
    case("tabs")


def test_what_is_refused_says_why():
    case("refused")


def test_axe_finds_no_obstacle():
    case("axe")


def test_nasty_strings_stay_text():
    case("nasty")


def test_markup_stays_text():
    case("markup")


def test_ten_thousand_messages_leave_typing_fluid():
    case("many")


def test_history_comes_by_scrolling_and_the_place_is_kept():
    case("history")


def test_mentions_title_and_unread_line():
    case("mentions")


def test_a_screen_reader_is_not_flooded():
    case("reader")


def test_what_was_said_is_found():
    case("search")


def test_strangers_meet():
    case("strangers")


def test_rooms_are_made_left_and_come_back_to():
    case("rooms")


def test_many_lines_are_asked_about():
    case("paste")


def test_the_keyboard_is_enough():
    case("keyboard")


def test_right_to_left_and_narrow():
    case("narrow")


def test_it_is_small_and_comes_from_the_server_alone():
    case("small")


def test_it_is_read_without_javascript():
    case("plain")


if __name__ == "__main__":
    main(CASE_SECONDS + npm.SECONDS + 10)
