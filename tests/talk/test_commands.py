"""Commands, and the notices about who comes and goes."""

import re
import signal

from talk import MAX_LINE, Server, main, wait_for


def test_exit_leaves_in_any_letter_case():
    with Server() as server:
        ann = server.join("ann")
        for i, word in enumerate(("!exit", "!EXIT", "!Exit", "/quit")):
            bob = server.join(f"bob{i}")
            bob.say(word)
            bob.expect(f"* Goodbye bob{i}.")
            bob.expect_end()
            ann.expect(f'User "bob{i}" just joined the chat!', f'User "bob{i}" just left the chat (normally)')


def test_what_is_sent_after_quit_is_not_said():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        bob.raw(b"last\n/quit\n" + b"too late\n" * 1000)
        bob.expect("bob: last", "* Goodbye bob.")
        bob.expect_end()
        ann.expect('User "bob" just joined the chat!', "bob: last", 'User "bob" just left the chat (normally)')
        ann.say("gone")
        ann.expect("ann: gone")


def test_exit_inside_a_line_is_text():
    with Server() as server:
        bob = server.join("bob")
        for line in ("say !exit to leave", "!exit now", "!exits"):
            bob.say(line)
            bob.expect(f"bob: {line}")


def test_who_tells_who_is_here():
    with Server() as server:
        ann = server.join("ann")
        ann.say("/who")
        ann.expect("* 1 here: ann")
        bob = server.join("bob")
        bob.say("/who")
        bob.expect("* 2 here: ann, bob")
        ann.expect('User "bob" just joined the chat!')
        bob.say("/quit")
        ann.expect('User "bob" just left the chat (normally)')

        def only_ann():  # the notice may come a moment before the name is free
            ann.say("/who")
            return ann.line() == "* 1 here: ann"

        wait_for(only_ann, "only ann is here")


def test_who_does_not_count_those_without_a_name():
    with Server() as server:
        ann = server.join("ann")
        server.connect()
        ann.say("/who")
        ann.expect("* 1 here: ann")


def test_help_lists_the_commands():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        bob.say("/help")
        bob.say("end")
        lines = []
        while True:
            line = bob.line()
            if line == "bob: end":
                break
            assert line.startswith("* /"), line
            lines.append(line)
        for command in ("/help", "/quit", "/who"):
            assert any(re.match(rf"\* {command}\b.* - .+", line) for line in lines), (command, lines)
        ann.expect("bob: end")  # an answer is for the one who asked


def test_an_unknown_command_is_explained_and_not_said():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        bob.say("/frobnicate the thing")
        bob.expect("! unknown-command: there is no command /frobnicate; /help lists the commands, //frobnicate says it as"
                   " text")
        bob.say("after")
        bob.expect("bob: after")
        ann.expect("bob: after")


def test_a_slash_alone_is_an_unknown_command():
    with Server() as server:
        bob = server.join("bob")
        bob.say("/")
        bob.expect(re.compile("! unknown-command: .+"))


def test_a_command_may_be_as_long_as_a_line():
    with Server() as server:
        bob = server.join("bob")
        for size in (1023, 65534):
            bob.say("/" + "x" * size)
            bob.expect(re.compile("! unknown-command: there is no command /x+; .{1,200}"))
        bob.say("/msg " + "y" * (MAX_LINE - 5))
        bob.expect("bob: " + "y" * (MAX_LINE - 5))
        bob.say("after")
        bob.expect("bob: after")


def test_a_command_is_answered_after_the_echo_of_the_lines_before_it():
    with Server() as server:
        bob = server.join("bob")
        for i in range(50):
            bob.raw(b"one\n/who\ntwo\n/nonsense\nthree\n")
            bob.expect("bob: one", "* 1 here: bob", "bob: two", re.compile("! unknown-command: .+"), "bob: three")


def test_commands_are_case_sensitive_or_not_but_never_text():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        bob.say("/WHO")
        bob.expect(re.compile(r"! unknown-command: .+|\* 2 here: ann, bob"))
        bob.say("after")
        ann.expect("bob: after")


def test_a_command_in_capitals_is_suggested():
    with Server() as server:
        bob = server.join("bob")
        for typed, meant in (("/HELP", "help"), ("/Rooms", "rooms"), ("/NEW_ROOM", "new-room")):
            bob.say(typed)
            bob.expect(f"! unknown-command: there is no command {typed}; did you mean /{meant}? /help lists the commands,"
                       f" /{typed} says it as text")


def test_help_for_what_the_server_does_not_know_names_it():
    with Server() as server:
        bob = server.join("bob")
        for asked in ("theme", "/theme"):
            bob.say(f"/help {asked}")
            bob.expect("! unknown-command: the server has no command /theme; if it is one of your client, look there; /help"
                       " lists those of the server")


def test_surplus_words_are_refused():
    with Server() as server:
        bob = server.join("bob")
        bob.say("/who my room")
        bob.expect('! usage: /who takes only [ROOM]; type /who [ROOM], with a name of several words in "double quotes"')
        bob.say("/join my room")
        bob.expect(re.compile(r"! usage: /join takes only \[ROOM\] .+"))
        bob.say("/quit now")
        bob.expect("! usage: /quit takes nothing; type /quit")
        bob.say('/join "my room"')
        bob.expect("* You are in my room, 1 here.")
        bob.say('/new-room "my room"')
        bob.expect('! room-exists: there is a room my room already; /join "my room" goes there')


def test_two_slashes_say_one():
    with Server() as server:
        bob = server.join("bob")
        for sent, said in (("//who knows?", "/who knows?"), ("//", "/"), ("///", "//"), ("//quit", "/quit")):
            bob.say(sent)
            bob.expect(f"bob: {said}")


def test_a_space_before_a_slash_makes_it_text():
    with Server() as server:
        bob = server.join("bob")
        bob.say(" /quit")
        bob.expect("bob:  /quit")


def test_the_newcomer_does_not_hear_of_its_own_coming():
    with Server() as server:
        ann = server.join("ann")
        ann.say("first")
        ann.expect("ann: first")
        bob = server.join("bob")
        bob.say("second")
        bob.expect("bob: second")
        ann.expect('User "bob" just joined the chat!', "bob: second")


def test_everyone_else_hears_of_who_comes_and_goes():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        carol = server.join("carol")
        ann.expect('User "bob" just joined the chat!', 'User "carol" just joined the chat!')
        bob.expect('User "carol" just joined the chat!')
        carol.half_close()
        carol.expect_end()
        for client in (ann, bob):
            client.expect('User "carol" just left the chat (normally)')


def test_a_reset_is_a_lost_connection():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        bob.reset()
        ann.expect('User "bob" just left the chat (connection lost)')


def test_a_close_without_a_word_is_a_normal_end():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        bob.close()
        ann.expect('User "bob" just left the chat (normally)')


def test_everyone_gets_the_goodbye_line_on_either_signal():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Server() as server:
            crowd = [server.join(f"member{i}") for i in range(5)]
            person = server.connect()  # has no name yet
            goodbye = f"== The server(127.0.0.1:{server.port}) was terminated its operation... Goodbye. =="
            server.stop(number)
            for i, client in enumerate(crowd):
                client.expect(*[f'User "member{j}" just joined the chat!' for j in range(i + 1, 5)], goodbye)
                client.expect_end()
            assert [line for line in person.rest() if not line.startswith("* ")] in ([goodbye], [])


def test_the_goodbye_line_has_the_address_that_the_client_connected_to():
    with Server(listen=("[::]:0",)) as server:
        places = [("127.0.0.1", server.port), ("127.0.0.2", server.port)]
        texts = ["127.0.0.1", "127.0.0.2"]
        if server.places[0][0] == "[::]":
            places.append(("::1", server.port))
            texts.append("[::1]")
        clients = [server.join(f"m{i}", place=place) for i, place in enumerate(places)]
        server.stop()
        for client, text in zip(clients, texts):
            assert client.rest()[-1] == (
                f"== The server({text}:{server.port}) was terminated its operation... Goodbye. ==")


if __name__ == "__main__":
    main()
