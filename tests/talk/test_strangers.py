"""Random pairs, and Random Chat's session line by line."""

import random
import re

from talk import Server, main, pump, scaled

HOME = "* You are in lobby. /join finds a stranger, /rooms lists the rooms."
WAITS = re.compile(r"\* You wait for a stranger in room ([0-9a-f]{20}); /leave gives up\.")
MEETS = re.compile(r"\* You met a stranger in room ([0-9a-f]{20})\. Say hello; /leave ends it\.")


def came(name):
    return f'User "{name}" just joined the chat!'


def went(name, how="for another room"):
    return f'User "{name}" just left the chat ({how})'


def ask(client, line, *answers):
    client.say(line)
    return client.expect(*answers)


def guest(server, first_line):
    """Somebody whose first line is a command, who therefore has no name; returns it and the name it gets."""
    client = server.connect()
    client.say(first_line)
    return client, client.expect_welcome(re.compile("guest#[0-9a-f]{6}"))


def joined(server, *names):
    """Some people, none of whom has a line left to read."""
    clients = [server.join(name) for name in names]
    for i, client in enumerate(clients):
        client.expect(*[came(name) for name in names[i + 1:]])
    return clients


def skip_until(client, wanted):
    """Reads up to the line that is wanted, past who comes and goes."""
    while True:
        line = client.line()
        match = wanted.fullmatch(line) if isinstance(wanted, re.Pattern) else line == wanted
        if match:
            return match
        assert line.startswith('User "'), f"unexpected: {line}"


def test_a_session_of_random_chat_works_line_by_line():
    with Server() as server:
        one, one_name = guest(server, "/new-room")
        room = one.expect(WAITS).group(1)
        two, two_name = guest(server, "/join")
        assert two.expect(MEETS).group(1) == room
        one.expect(came(two_name))
        ask(two, "/msg hi", f"{two_name}: hi")
        one.expect(f"{two_name}: hi")
        ask(one, "/msg  two  words ", f"{one_name}: two  words")
        two.expect(f"{one_name}: two  words")
        ask(two, "/leave", HOME)
        one.expect(went(two_name))
        skip_until(one, HOME)
        one.say("/quit")
        skip_until(one, f"* Goodbye {one_name}.")
        one.expect_end()
        two.say("/quit")
        skip_until(two, f"* Goodbye {two_name}.")
        two.expect_end()


def test_who_waits_longest_is_met_first():
    with Server() as server:
        people = joined(server, *[f"p{i}" for i in range(6)])
        rooms = []
        for i in (0, 1, 2):
            people[i].say("/new-room")
            rooms.append(skip_until(people[i], WAITS).group(1))
        for i in (3, 4, 5):
            people[i].say("/join")
            assert skip_until(people[i], MEETS).group(1) == rooms[i - 3]
            people[i - 3].expect(came(f"p{i}"))


def test_who_is_left_behind_is_told_and_may_join_again():
    with Server() as server:
        ann, bob = joined(server, "ann", "bob")
        for leave in ("/leave", "/join tea", "/quit"):
            ann.say("/join")
            skip_until(ann, WAITS)
            bob.say("/join")
            skip_until(bob, MEETS)
            skip_until(ann, came("bob"))
            bob.say(leave)
            ann.expect(went("bob", "normally" if leave == "/quit" else "for another room"))
            skip_until(ann, HOME)
            if leave == "/join tea":
                skip_until(bob, "* You are in tea, 1 here.")
                bob.say("/leave")
            if leave != "/quit":
                skip_until(bob, HOME)
        ann.say("/join")
        skip_until(ann, WAITS)


def test_a_partner_who_is_cut_off_leaves_the_other_free():
    with Server() as server:
        ann, bob = joined(server, "ann", "bob")
        ann.say("/join")
        ann.expect(WAITS)
        bob.say("/join")
        skip_until(bob, MEETS)
        skip_until(ann, came("bob"))
        bob.reset()
        ann.expect(went("bob", "connection lost"), HOME)


def test_who_waits_and_disconnects_is_never_handed_out():
    with Server() as server:
        listener = server.join("listener")
        for i in range(30):
            client = server.connect()
            client.raw(f"gone{i}\n/join\n".encode())
            client.expect_welcome(f"gone{i}")
            client.expect(WAITS)
            listener.expect(came(f"gone{i}"), went(f"gone{i}"))
            if i % 3 == 0:
                client.reset()
            elif i % 3 == 1:
                client.close()
            else:
                client.say("/quit")
                client.expect(f"* Goodbye gone{i}.")
                client.expect_end()
                client.close()
            # Whoever comes now meets nobody who is gone: it may enter the room of one that just goes, is told, and is free.
            listener.say("/join")
            match = None
            while not match:
                line = listener.line()
                match = WAITS.fullmatch(line)
                if MEETS.fullmatch(line):  # it was still there
                    skip_until(listener, HOME)
                    listener.say("/join")
            listener.say("/leave")
            listener.expect(HOME)


def test_nobody_meets_whom_one_ignores():
    with Server() as server:
        ann, bob, carl = joined(server, "ann", "bob", "carl")
        ask(ann, "/ignore bob", "* you ignore bob; /ignore bob again ends that")
        ann.say("/join")
        ann.expect(WAITS)
        bob.say("/join")
        skip_until(bob, WAITS)
        carl.say("/join")
        skip_until(carl, MEETS)
        ann.expect(came("carl"))
        carl.say("/leave")
        skip_until(ann, HOME)
        ann.say("/ignore bob")
        skip_until(ann, "* you no longer ignore bob")
        ann.say("/join")
        skip_until(ann, MEETS)
        bob.expect(came("ann"))


def test_nobody_meets_who_has_a_name_that_one_ignores():
    with Server() as server:
        ann = server.join("ann")
        ask(ann, "/ignore bob --on", re.compile(r"\* you ignore bob, who is not here now, .+"))
        ann.say("/join")
        ann.expect(WAITS)
        bob = server.join("bob")
        bob.say("/join")
        bob.expect(WAITS)
        ann.say("/leave")
        skip_until(ann, HOME)
        ask(ann, "/ignore bob --off", "* you no longer ignore bob")
        ann.say("/join")
        skip_until(ann, MEETS)


def test_another_name_does_not_help_to_meet_who_ignores_one():
    with Server() as server:
        ann, bob = joined(server, "ann", "bob")
        ask(ann, "/ignore bob", "* you ignore bob; /ignore bob again ends that")
        bob.say("/nick rob")
        for client in (ann, bob):
            client.expect('User "bob" is now "rob"')
        ann.say("/join")
        ann.expect(WAITS)
        bob.say("/join")
        skip_until(bob, WAITS)
        other = server.join("bob")
        other.say("/join")  # the name does not make it the one who is ignored
        skip_until(other, MEETS)
        ann.expect(came("bob"))


def test_the_same_two_do_not_meet_again_while_others_wait():
    with Server() as server:
        ann, bob, carl = joined(server, "ann", "bob", "carl")
        ann.say("/join")
        ann.expect(WAITS)
        bob.say("/join")
        skip_until(bob, MEETS)
        bob.say("/leave")
        skip_until(bob, HOME)
        skip_until(ann, came("bob"))
        skip_until(ann, went("bob"))
        skip_until(ann, HOME)
        ann.say("/new-room")  # ann waits longer than carl
        skip_until(ann, WAITS)
        carl.say("/new-room")
        skip_until(carl, WAITS)
        bob.say("/join")
        skip_until(bob, MEETS)
        carl.expect(came("bob"))
        bob.say("/leave")
        skip_until(bob, HOME)
        bob.say("/join")  # nobody else waits now
        skip_until(bob, MEETS)
        ann.expect(came("bob"))


def test_somebody_invited_into_a_waiting_room_ends_the_wait():
    """A story: who met a stranger whose room an invited friend had entered was told that the room is full."""
    with Server() as server:
        ann, bob, carl = joined(server, "ann", "bob", "carl")
        ann.say("/join")
        room = ann.expect(WAITS).group(1)
        bob.say(f"/join {room}")
        skip_until(bob, f"* You are in {room}, 2 here.")
        ann.expect(came("bob"))
        carl.say(f"/join {room}")
        skip_until(carl, "! room-full: the room has as many members as it may; try another one")
        carl.say("/join")
        assert skip_until(carl, WAITS).group(1) != room
        carl.say("/leave")
        carl.expect(HOME)


def test_a_crowd_of_strangers_is_paired_off():
    """Everybody looks for a stranger at once; afterwards each has one partner, whom it hears."""
    count = scaled(200) // 2 * 2
    with Server() as server:
        crowd = [server.connect() for _ in range(count)]
        order = random.Random(1).sample(crowd, count)
        for i, client in enumerate(crowd):
            client.outgoing = f"p{i}\n/join\n".encode()
        pump(order, lambda client: re.search(rb"^\* You (wait for|met) a stranger", client.buffer, re.M) is not None)
        # Of two who began at the same time one may have given up its own room; the last words count.
        for client in crowd:
            client.outgoing = b"/msg hello\n"
        pump(crowd, lambda client: len(re.findall(rb"^p\d+: hello$", client.buffer, re.M)) == 2)
        partners = {}
        for i, client in enumerate(crowd):
            rooms = re.findall(rb"^\* You (?:wait for|met) a stranger in room ([0-9a-f]+)", client.buffer, re.M)
            heard = set(re.findall(rb"^(p\d+): hello$", client.buffer, re.M))
            assert f"p{i}".encode() in heard and len(heard) == 2, (i, heard)
            partners.setdefault(rooms[-1], []).append(heard)
        assert len(partners) == count // 2
        for heard in partners.values():
            assert len(heard) == 2 and heard[0] == heard[1], heard


if __name__ == "__main__":
    main()
