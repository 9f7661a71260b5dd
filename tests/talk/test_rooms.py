"""Rooms: made, entered, left, closed; topics, invitations, direct words, people who are ignored."""

import re
import tempfile

from events import join_events
from talk import Server, main, on_each_journal, wait_for

HOME = "* You are in lobby. /join finds a stranger, /rooms lists the rooms."


def came(name):
    return f'User "{name}" just joined the chat!'


def went(name, how="for another room"):
    return f'User "{name}" just left the chat ({how})'


def ask(client, line, *answers):
    client.say(line)
    client.expect(*answers)


def rooms_of(client):
    """The answer to /rooms, as name: people."""
    client.say("/rooms")
    count = int(client.expect(re.compile(r"\* (\d+) rooms?:")).group(1))
    lines = [client.expect(re.compile(r"\* (.+) \((\d+)\)( - .*)?")) for _ in range(count)]
    return {match.group(1): int(match.group(2)) for match in lines}


def test_a_room_is_made_by_going_there_and_goes_with_the_last_who_leaves():
    """With the memory journal, which keeps nothing of a room that is closed; another one would go on listing it."""
    with Server(journal="memory") as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect(came("bob"))
        ask(ann, "/join tea", "* You are in tea, 1 here.")
        bob.expect(went("ann"))
        assert rooms_of(bob) == {"lobby": 1, "tea": 1}
        ask(bob, "/join TEA", "* You are in tea, 2 here.")
        ann.expect(came("bob"))
        ann.say("hello")
        for client in (ann, bob):
            client.expect("ann: hello")
        ask(bob, "/leave", HOME)
        ann.expect(went("bob"))
        ask(ann, "/leave", HOME)
        bob.expect(came("ann"))
        assert rooms_of(ann) == {"lobby": 2}
        ask(ann, "/who tea", "! no-such-room: there is no room tea; /rooms lists those there are")


def test_a_line_in_one_room_is_not_seen_in_another():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect(came("bob"))
        ask(bob, "/join tea", "* You are in tea, 1 here.")
        ann.expect(went("bob"))
        for i in range(50):
            bob.say(f"tea {i}")
            ann.say(f"lobby {i}")
        ann.expect(*[f"ann: lobby {i}" for i in range(50)])
        bob.expect(*[f"bob: tea {i}" for i in range(50)])


def test_a_room_goes_when_its_last_member_is_cut_off():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect(came("bob"))
        ask(bob, "/join tea", "* You are in tea, 1 here.")
        ann.expect(went("bob"))
        carl = server.join("carl")
        ann.expect(came("carl"))
        ask(carl, "/join tea", "* You are in tea, 2 here.")
        ann.expect(went("carl"))
        bob.expect(came("carl"))
        carl.reset()
        bob.expect(went("carl", "connection lost"))
        ask(bob, "/leave", HOME)
        ann.expect(came("bob"))
        assert rooms_of(ann) == {"lobby": 2}


def test_an_invitation_to_a_room_that_is_over_makes_none():
    """A story: "/join" with the id of a room that was no more made a listed room with that name."""
    with Server() as server:
        ann = server.join("ann")
        for name in ("0123456789abcdef0123", "0123456789ABCDEF0123", "\uff10" * 20):
            refused = f"! no-such-room: there is no room {name} any more; ask for another invitation, or see /rooms"
            ask(ann, f"/join {name}", refused)
            ask(ann, f"/new-room {name}", re.compile("! bad-room-name: .+"))
        assert rooms_of(ann) == {"lobby": 1}
        ask(ann, "/join 0123456789abcdef012", "* You are in 0123456789abcdef012, 1 here.")  # a digit less


def test_an_id_is_known_in_any_case():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect(came("bob"))
        ask(ann, "/join tea", "* You are in tea, 1 here.")
        bob.expect(went("ann"))
        ask(ann, "/invite bob", "* bob is invited to tea")
        room = bob.expect(re.compile(r"\* ann invites you to tea; /join ([0-9a-f]{20}) goes there")).group(1)
        ask(bob, f"/join {room.upper()}", "* You are in tea, 2 here.")
        ann.expect(came("bob"))
        ask(bob, f"/leave {room.upper()}", HOME)


def test_a_new_room_has_to_be_new():
    with Server() as server:
        ann = server.join("ann")
        ask(ann, "/new-room tea", "* You are in tea, 1 here.")
        ask(ann, "/new-room Tea", "! room-exists: there is a room Tea already; /join Tea goes there")
        ask(ann, '/new-room "Johnny Tea"', "* You are in Johnny Tea, 1 here.")
        assert rooms_of(ann) == {"Johnny Tea": 1, "lobby": 0}


def test_what_is_no_name_makes_no_room():
    with Server() as server:
        ann = server.join("ann")
        for name in ("b*b", "x" * 51, "/tea", "\u200btea", '" "'):
            ask(ann, f"/join {name}", re.compile("! bad-room-name: a room's name has 1 to 50 .+"))
            ask(ann, f"/new-room {name}", re.compile("! bad-room-name: .+"))
        ask(ann, '/join "tea', '! usage: the name after the " has no " at its end; type it in "double quotes"')
        ask(ann, '/dm "bob hi', '! usage: the name after the " has no " at its end; type it in "double quotes"')
        ask(ann, '/join ""', '! usage: there is no name between the ""; type one, or leave them out')
        ask(ann, "/join " + "x" * 300, "! usage: no name is as long as that; one has at most 50 letters")


def test_spaces_around_a_name_in_quotes_do_not_count():
    with Server() as server:
        ann = server.join("ann")
        ask(ann, '/join " lobby "', "* You are in lobby, 1 here.")
        ask(ann, '/join " tea "', "* You are in tea, 1 here.")
        ask(ann, '/join "tea "', "* You are in tea, 1 here.")


def test_nobody_makes_rooms_where_they_are_closed():
    with Server("--rooms", "closed") as server:
        ann = server.join("ann")
        for command in ("/join tea", "/new-room tea"):
            ask(ann, command, "! no-such-room: there is no room tea, and nobody may make one here; /rooms lists those there"
                " are")
        assert rooms_of(ann) == {"lobby": 1}
        ask(ann, "/join lobby", "* You are in lobby, 1 here.")


def test_there_are_no_more_rooms_than_allowed():
    with Server("--max-rooms", "3") as server:
        ann, bob, carl = (server.join(name) for name in ("ann", "bob", "carl"))
        ann.expect(came("bob"), came("carl"))
        bob.expect(came("carl"))
        ask(ann, "/join one", "* You are in one, 1 here.")
        ask(bob, "/join two", went("ann"), "* You are in two, 1 here.")
        carl.expect(went("ann"), went("bob"))
        refused = "! too-many-rooms: there are 3 rooms, which is the most; join one of them, see /rooms"
        for command in ("/join three", "/new-room three"):
            ask(carl, command, refused)
        for command in ("/new-room", "/join"):
            ask(carl, command, "! too-many-rooms: there are 3 rooms, which is the most, so you have none to wait for a stranger"
                " in; try again later")
        carl.say("still in the lobby")
        carl.expect("carl: still in the lobby")
        ask(carl, "/join one", "* You are in one, 2 here.")
        ann.expect(came("carl"))
        ask(bob, "/leave", HOME)  # a place is free again
        ask(bob, "/join three", "* You are in three, 1 here.")


def test_a_kept_room_that_cannot_be_opened_is_neither_missing_nor_made_anew():
    with tempfile.TemporaryDirectory() as folder, \
            Server("--max-rooms", "2", journal=f"sqlite:{folder}/chat.db") as server:
        ann = server.join("ann")
        ask(ann, "/join tea", "* You are in tea, 1 here.")
        ask(ann, "first", "ann: first")
        ask(ann, "/leave", HOME)
        ask(ann, "/join full", "* You are in full, 1 here.")
        bob = server.join("bob")
        ask(bob, "/join tea", "! too-many-rooms: there are 2 rooms, which is the most; join one of them, see /rooms")
        ask(bob, "/new-room TEA", "! room-exists: there is a room TEA already; /join TEA goes there")
        for command in ("/who tea", "/delete-room tea"):
            ask(bob, command, "! too-many-rooms: there are 2 rooms open, which is the most, so tea cannot be opened; try again later")
        ask(bob, "/join", "! too-many-rooms: there are 2 rooms, which is the most, so you have none to wait for a stranger"
            " in; try again later")
        ask(ann, "/leave", HOME)
        bob.expect(came("ann"))
        ask(bob, "/new-room tea", "! room-exists: there is a room tea already; /join tea goes there")
        ask(bob, "/join tea", "* You are in tea, 1 here.")
        ask(bob, "/search first", re.compile(r"\* .*"))


def test_a_kept_room_that_was_only_asked_about_does_not_stay_open():
    with tempfile.TemporaryDirectory() as folder, \
            Server("--max-rooms", "2", journal=f"sqlite:{folder}/chat.db") as server:
        ann = server.join("ann")
        ask(ann, "/join tea", "* You are in tea, 1 here.")
        ask(ann, "first", "ann: first")
        ask(ann, "/leave", HOME)
        ask(ann, "/who tea", re.compile(r"\* 0 in tea: ?"))
        assert rooms_of(ann)["lobby"] == 1
        ask(ann, "/join milk", "* You are in milk, 1 here.")
        ask(ann, "/leave", HOME)
        ask(ann, "/delete-room tea", "! not-allowed: only an administrator may close tea, because it was empty, or the server was"
            " restarted, since it was made")
        ask(ann, "/join milk", "* You are in milk, 1 here.")


def test_a_topic_is_told_to_those_who_are_there_and_those_who_come():
    with Server() as server:
        ann = server.join("ann")
        ask(ann, "/join tea", "* You are in tea, 1 here.")
        made = re.compile(r"\* tea was made by ann on \d{4}-\d\d-\d\d at \d\d:\d\d UTC")
        ask(ann, "/topic", "* tea has no topic; /topic TEXT sets one", made)
        ask(ann, "/topic green or black", 'User "ann" set the topic: green or black')
        ask(ann, "/topic", "* the topic of tea is: green or black", made)
        bob = server.join("bob")
        ask(bob, "/join tea", "* You are in tea, 2 here. The topic is: green or black")
        ann.expect(came("bob"))
        ask(bob, "/rooms", "* 2 rooms:", "* lobby (0)", "* tea (2) - green or black")
        ask(bob, "/topic " + "x" * 400, "! topic-too-long: a topic may have 399 bytes; shorten it")
        ask(bob, "/topic " + "x" * 399, 'User "bob" set the topic: ' + "x" * 399)


@on_each_journal
def test_a_room_in_which_nothing_was_said_is_gone_with_the_last_one(journal):
    """The journal has it a moment longer, and nobody is shown it as one that is empty; but a database is asked later whether it is so on
    all servers."""
    allowed = [{"lobby": 1, "tea": 1}] + [{"lobby": 1, "tea": 0}] * ("://" in journal)
    with Server(journal=journal) as server:
        ann = server.join("ann")
        for turn in range(30):
            bob = server.join(f"bob{turn}")
            ask(bob, "/join tea", "* You are in tea, 1 here.")
            ann.expect(came(f"bob{turn}"), went(f"bob{turn}"))
            bob.half_close()
            while (rooms := rooms_of(ann)) != {"lobby": 1}:
                assert rooms in allowed, rooms


def test_a_closed_room_sends_everybody_home():
    with Server() as server:
        ann, bob, carl = (server.join(name) for name in ("ann", "bob", "carl"))
        ann.expect(came("bob"), came("carl"))
        bob.expect(came("carl"))
        ask(ann, "/join tea", "* You are in tea, 1 here.")
        ask(bob, "/join tea", went("ann"), "* You are in tea, 2 here.")
        ann.expect(came("bob"))
        carl.expect(went("ann"), went("bob"))
        ask(bob, "/delete-room tea", "! not-allowed: only who made tea, or an administrator, may close it; ask ann")
        ask(ann, "/delete-room lobby", re.compile("! not-allowed: lobby always stays.+"))
        ask(ann, "/delete-room milk", re.compile("! no-such-room: .+"))
        ask(ann, "/nick Johnny Boi", 'User "ann" is now "Johnny Boi"')
        bob.expect('User "ann" is now "Johnny Boi"')
        ask(bob, "/delete-room tea", "! not-allowed: only who made tea, or an administrator, may close it; ask Johnny Boi")
        ask(bob, "/topic", "* tea has no topic; /topic TEXT sets one", re.compile(r"\* tea was made by Johnny Boi on .+"))
        ask(ann, "/nick ann", 'User "Johnny Boi" is now "ann"')
        bob.expect('User "Johnny Boi" is now "ann"')
        ask(ann, "/delete-room", "! usage: /delete-room takes ROOM; type /delete-room ROOM")
        ann.say("/delete-room tea")
        assert "* tea is closed" in [ann.line(), ann.line()]
        while (line := ann.line()) != HOME:
            assert line == came("bob"), line
        bob.expect("chat server: chat room is closing")
        while (line := bob.line()) != HOME:
            assert line == came("ann"), line
        assert sorted([carl.line(), carl.line()]) == [came("ann"), came("bob")]
        carl.say("back together")
        for client in (ann, bob, carl):
            while (line := client.line()) != "carl: back together":
                assert line.startswith("User "), line
        assert rooms_of(carl) == {"lobby": 3}
        ask(carl, "/join tea", "* You are in tea, 1 here.")  # another room of that name


def test_a_room_that_was_empty_has_nobody_who_made_it():
    with Server(journal="sqlite:chat.db") as server:
        ann = server.join("ann")
        ask(ann, "/join tea", "* You are in tea, 1 here.")
        ask(ann, "hi", "ann: hi")
        ask(ann, "/leave", HOME)
        ask(ann, "/join tea", "* You are in tea, 1 here.")
        ask(ann, "/delete-room tea", "! not-allowed: only an administrator may close tea, because it was empty, or the server"
            " was restarted, since it was made")


def test_what_is_said_after_closing_a_room_goes_to_the_lobby():
    with Server() as server:
        ann = server.join("ann")
        ask(ann, "/join tea", "* You are in tea, 1 here.")
        ann.raw(b"/delete-room tea\nhello lobby\n/who lobby\n")
        lines = [ann.line() for _ in range(5)]
        assert "ann: hello lobby" in lines and lines[-1] == "* 1 in lobby: ann", lines


def test_an_invited_person_finds_the_room():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect(came("bob"))
        ask(ann, '/join "Johnny Tea"', "* You are in Johnny Tea, 1 here.")
        bob.expect(went("ann"))
        ask(ann, "/invite Bob", "* bob is invited to Johnny Tea")
        invitation = bob.expect(re.compile(r"\* ann invites you to Johnny Tea; /join ([0-9a-f]{20}) goes there"))
        ask(bob, f"/join {invitation.group(1)}", "* You are in Johnny Tea, 2 here.")
        ann.expect(came("bob"))
        ask(ann, "/invite nobody", re.compile("! no-such-user: .+"))
        ask(ann, "/invite", "! usage: /invite takes USER [ROOM]; type /invite USER [ROOM]")


def test_direct_words_reach_one_person_in_any_room():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("Johnny Boi")
        ann.expect(came("Johnny Boi"))
        ask(bob, "/join tea", "* You are in tea, 1 here.")
        ann.expect(went("Johnny Boi"))
        for command in ("/dm", "/w"):
            ask(ann, f'{command} "johnny boi"  two  words ', "[ann -> Johnny Boi] two  words")
            bob.expect("[ann -> Johnny Boi] two  words")
        ask(bob, "/dm ann /leave", "[Johnny Boi -> ann] /leave")
        ann.expect("[Johnny Boi -> ann] /leave")
        ask(ann, "/dm ann note", "[ann -> ann] note")
        ask(ann, "/dm nobody hi", re.compile("! no-such-user: .+"))
        ask(ann, "/dm Johnny", re.compile("! usage: .+"))


def test_what_was_said_before_is_seen_before_direct_words():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect(came("bob"))
        for i in range(20):
            ann.raw(f"first {i}\n/dm bob second {i}\n".encode())
            bob.expect(f"ann: first {i}", f"[ann -> bob] second {i}")


def test_who_is_ignored_is_told():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect(came("bob"))
        ask(ann, "/ignore bob", "* you ignore bob; /ignore bob again ends that")
        ask(bob, "/dm ann hi", "! ignored: ann does not want to hear from you alone; say it in a room")
        ask(bob, "/invite ann", "! ignored: ann does not want to hear from you alone")
        ask(bob, "in the room", "bob: in the room")
        ann.expect("bob: in the room")
        ask(ann, "/ignore bob", "* you no longer ignore bob")
        ask(bob, "/dm ann hi", "[bob -> ann] hi")
        ann.expect("[bob -> ann] hi")
        ask(bob, "/ignore nobody", "! no-such-user: nobody here is named nobody; /who lists who is in the room")


def test_who_is_ignored_stays_so_under_another_name_and_no_other_one_gets_it():
    """A story: ignoring went by name, and so /nick evaded it."""
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect(came("bob"))
        ask(ann, "/ignore bob", "* you ignore bob; /ignore bob again ends that")
        for name in ("Johnny Boi", "bob", "rob"):
            bob.say(f"/nick {name}")
            for client in (ann, bob):
                client.expect(re.compile(f'User ".+" is now "{name}"'))
            ask(bob, "/dm ann hi", "! ignored: ann does not want to hear from you alone; say it in a room")
            ask(bob, "/invite ann", "! ignored: ann does not want to hear from you alone")
        other = server.join("bob")
        for client in (ann, bob):
            client.expect(came("bob"))
        ask(other, "/dm ann hi", "[bob -> ann] hi")
        ann.expect("[bob -> ann] hi")
        ask(bob, "/quit", "* Goodbye rob.")
        for client in (ann, other):
            client.expect(went("rob", "normally"))
        bob.expect_end()
        ask(other, "/nick rob", 'User "bob" is now "rob"')
        ann.expect('User "bob" is now "rob"')
        ask(other, "/dm ann hi again", "[rob -> ann] hi again")
        ann.expect("[rob -> ann] hi again")
        ask(ann, "/nick anna", 'User "ann" is now "anna"')
        ask(ann, "/ignore rob", "* you ignore rob; /ignore rob again ends that")


def test_a_name_is_ignored_before_somebody_comes_with_it_and_when_it_comes_back():
    """A story: a client that keeps names over restarts toggled, and so let those in who had come back unseen."""
    with Server() as server:
        ann = join_events(server, "ann")
        for i in range(2):  # as often as one likes
            ann.ask("ignore", user="Bob", on=True, id=i)
            ann.expect(kind="notice", id=i, text="you ignore Bob, who is not here now, from when one of that name comes;"
                       " /ignore Bob --off ends that")
        for _ in range(2):
            bob = server.join("bob")
            ann.until(kind="joined", participant="bob")
            ask(bob, "/dm ann hi", "! ignored: ann does not want to hear from you alone; say it in a room")
            ask(bob, "/invite ann", "! ignored: ann does not want to hear from you alone")
            ask(bob, "/nick rob", 'User "bob" is now "rob"')
            ask(bob, "/dm ann hi", "! ignored: ann does not want to hear from you alone; say it in a room")
            bob.say("/quit")
            bob.rest()
            ann.until(kind="left", participant="rob")
        bob = server.join("bob")
        ann.until(kind="joined", participant="bob")
        ann.ask("ignore", user="bob", on=True, id=1)
        ann.expect(kind="notice", id=1, text="you ignore bob; /ignore bob again ends that")
        for i in range(2):
            ann.ask("ignore", user="bob", on=False, id=i)
            ann.expect(kind="notice", id=i, text="you no longer ignore bob")
        ask(bob, "/dm ann hi", "[bob -> ann] hi")
        ann.expect(kind="direct", text="hi")
        ann.ask("ignore", user="b*b", on=True, id=1)
        ann.expect(kind="error", code="bad-name", id=1)
        ann.say("/ignore carl --on")
        ann.expect(kind="notice", text=re.compile("you ignore carl, who is not here now, .+"))
        ann.say("/ignore carl")
        ann.expect(kind="notice", text="you no longer ignore carl")
        ann.say("/ignore bob --frobnicate")
        ann.expect(kind="error", code="usage")


def test_one_ignores_a_hundred_people_who_are_there():
    with Server() as server:
        crowd = server.join_crowd(102)
        ann = crowd[0]
        for i in range(1, 101):
            ask(ann, f"/ignore member{i}", re.compile(r"\* you ignore .+"))
        refused = "! too-many-ignored: you ignore 100 people, which is the most; end one first"
        ask(ann, f"/ignore member101", refused)
        crowd[7].say("/quit")
        ann.expect(went("member7", "normally"))

        def free():  # the notice may come a moment before the place is free
            ann.say(f"/ignore member101")
            return ann.line() != refused

        wait_for(free, "a place is free again")


def test_who_does_not_read_is_told_no_more():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob", receive_buffer=4096)
        ann.expect(came("bob"))
        told = 0
        while True:
            ann.say("/dm bob " + "x" * 8000)
            line = ann.line()
            if line.startswith("! not-told: bob is too far behind"):
                break
            told += 1
            assert told < 5000, "there is no limit"
        ask(ann, "/invite bob", re.compile("! not-told: .+"))
        bob.expect(*["[ann -> bob] " + "x" * 8000] * told)  # what was told is there
        ask(ann, "/dm bob again", "[ann -> bob] again")
        bob.expect("[ann -> bob] again")


def test_a_new_name_is_told_and_the_old_one_is_free():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect(came("bob"))
        bob.say("/nick rob")
        for client in (ann, bob):
            client.expect('User "bob" is now "rob"')
        ask(bob, "hi", "rob: hi")
        ann.expect("rob: hi")
        bob.say("/nick ANN")
        name = re.compile(r'User "rob" is now "(ANN#[0-9a-f]{6})"')
        assert ann.expect(name).group(1) == bob.expect(name).group(1)
        ask(bob, "/nick b*b", re.compile("! bad-name: .+"))
        ask(bob, '/nick "Q', re.compile('! usage: the name after the " has no " at its end; .+'))
        ask(bob, '/nick "Q R" S', re.compile("! usage: /nick takes only NAME; .+"))
        bob.say('/nick "Q R"')
        for client in (ann, bob):
            client.expect(re.compile('User "ANN#[0-9a-f]{6}" is now "Q R"'))
        server.join("bob")


def test_me_says_what_one_does():
    with Server() as server:
        ann = server.join("ann")
        ask(ann, "/me waves", "~ ann waves")
        ask(ann, "/me", "! usage: /me takes TEXT; type /me TEXT")
        ask(ann, "/msg /me", "ann: /me")


def test_a_ping_is_answered():
    with Server() as server:
        ann = server.join("ann")
        ask(ann, "/ping", "* pong")
        ask(ann, "/ping 1 2", "* pong 1 2")


def test_many_come_and_go_in_many_rooms():
    """Names, rooms and people never get mixed up: afterwards there is the lobby and who is in it."""
    with Server() as server:
        crowd = server.join_crowd(20)
        for turn in range(10):
            for i, client in enumerate(crowd):
                client.say(f"/join room{(i * turn) % 7}")
            for i, client in enumerate(crowd):
                client.say(("/leave", "/join lobby")[i % 2])
        for i, client in enumerate(crowd):
            client.say("/join end")
        for client in crowd:
            while not re.fullmatch(r"\* You are in end, \d+ here\.", client.line()):
                pass
        crowd[0].say("/rooms")
        while crowd[0].line() != "* 2 rooms:":
            pass
        crowd[0].expect("* end (20)", "* lobby (0)")


if __name__ == "__main__":
    main()
