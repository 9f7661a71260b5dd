"""One order for all: that of each sender, and the same one for every receiver."""

from talk import BUILD_KIND, Server, main, pump

LINES = {"plain": 500}.get(BUILD_KIND, 100)




def test_ten_senders_are_heard_in_the_same_order_by_all():
    with Server() as server:
        crowd = server.join_crowd(20)
        senders = crowd[:10]
        for number, sender in enumerate(senders):
            sender.outgoing = b"".join(b"%d %d\n" % (number, i) for i in range(LINES))
        total = LINES * len(senders)
        pump(crowd, lambda client: client.buffer.count(b"\n") >= total)
        heard = [client.buffer.decode().splitlines() for client in crowd]
        for lines in heard:
            assert len(lines) == total, f"{len(lines)} lines instead of {total}"
            assert lines == heard[0], "two receivers saw different orders"
        for number in range(len(senders)):
            own = [line for line in heard[0] if line.startswith(f"member{number}: ")]
            assert own == [f"member{number}: {number} {i}" for i in range(LINES)], f"sender {number} is out of order"


def test_small_packets_from_many_senders_keep_the_order_too():
    with Server() as server:
        crowd = server.join_crowd(8)
        for i in range(LINES // 5):  # a line from each in turn, nobody waits for anybody
            for number, client in enumerate(crowd):
                client.say(f"{number} {i}")
        total = LINES // 5 * len(crowd)
        pump(crowd, lambda client: client.buffer.count(b"\n") >= total)
        heard = [client.buffer.decode().splitlines() for client in crowd]
        assert all(lines == heard[0] for lines in heard)
        assert sorted(heard[0]) == sorted(
            f"member{number}: {number} {i}" for number in range(len(crowd)) for i in range(LINES // 5))


def test_those_who_come_later_see_the_rest_of_the_same_order():
    with Server() as server:
        crowd = server.join_crowd(4)
        for client in crowd:
            client.outgoing = b"".join(b"%d\n" % i for i in range(LINES))
        late = []

        def enough(client):
            if len(late) < 5 and client is crowd[0] and client.buffer.count(b"\n") > LINES * (len(late) + 1) // 2:
                newcomer = server.connect()
                newcomer.say(f"late{len(late)}")
                late.append(newcomer)
            return client.buffer.count(b": ") >= LINES * len(crowd)

        pump(crowd, enough)
        pump(late, lambda client: b"* Welcome " in client.buffer)
        crowd[0].say("the end")
        end = b"member0: the end\n"
        pump(crowd + late, lambda client: client.buffer.endswith(end))
        whole = crowd[0].buffer.decode().splitlines()
        for client in crowd:
            assert client.buffer.decode().splitlines() == whole
        assert late, "nobody came late"
        for number, client in enumerate(late):
            lines = [line for line in client.buffer.decode().splitlines() if not line.startswith("* ")]
            # A notice about oneself is for the others: it is the place where one came in.
            start = whole.index(f'User "late{number}" just joined the chat!') + 1
            assert lines == whole[start:], f"late{number} saw something else"


def test_answers_to_commands_do_not_cut_messages_in_two():
    with Server() as server:
        bob, ann = server.join_crowd(2)
        bob.outgoing = b"".join(b"%04d " % i + b"x" * 2000 + b"\n/who\n" for i in range(LINES))
        ann.outgoing = b"".join(b"%04d\n" % i for i in range(LINES))
        pump([bob, ann], lambda client: client.buffer.count(b": ") >= 3 * LINES
             if client is bob else client.buffer.count(b": ") >= 2 * LINES)
        lines = bob.buffer.decode().splitlines()
        answers = [line for line in lines if line.startswith("* ")]
        assert answers == ["* 2 here: member0, member1"] * LINES, answers[:3]
        own = [line for line in lines if line.startswith("member0: ")]
        assert own == [f"member0: {i:04} " + "x" * 2000 for i in range(LINES)]
        assert len(lines) == 3 * LINES


if __name__ == "__main__":
    main()
