"""RabbitMQ and messageapi as an engine: the contract, as far as it is about one server; and what is its own."""

import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "talk"))
import faults  # noqa: E402
import talk  # noqa: E402

from events import come_back  # noqa: E402
from pipeline import Messageapi, Pipeline  # noqa: E402
from talk import Server, wait_for  # noqa: E402

CLIENT = "00112233445566778899aabbccddeeff"
DEAD = "message_queue.dead"


def serve(pipeline, *options, **more):
    return Server("--message-api", pipeline.messageapi.address, *options, journal=pipeline.journal, **more)


def amqp(*arguments):
    done = subprocess.run([talk.program("AMQP_TRY"), *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return done.stdout.decode()


def send(client, text, number):
    client.ask("send", text=text, id=number)
    return client.until(kind="notice", code="said", id=number)[-1]["seq"]


def expect_history(client, *lines):
    for wanted in lines:
        line = client.line()
        assert line.endswith("] " + wanted), line


def has_stored(pipeline, *texts):
    return lambda: [text for _, text in pipeline.messageapi.find_all()] == list(texts)


def test_the_contract_is_kept_as_far_as_it_is_for_one_server():
    with Pipeline() as pipeline:
        settings = {**os.environ, "TEST_ENGINE_URL": pipeline.rabbitmq.url, "TEST_ENGINE_MESSAGE_API": pipeline.messageapi.address}
        done = subprocess.run([talk.program("ENGINE_CONTRACT")], env=settings, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, pipeline.messageapi.errors()


def test_journals_on_it_keep_theirs():
    with Pipeline() as pipeline:
        settings = {**os.environ, "TEST_ENGINE_URL": pipeline.rabbitmq.url, "TEST_ENGINE_MESSAGE_API": pipeline.messageapi.address,
                    "TEST_ENGINE_EMPTY": pipeline.empty_command()}
        done = subprocess.run([talk.program("JOURNAL_CONTRACT")], env=settings, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, pipeline.messageapi.errors()


def test_what_is_no_message_of_ours_goes_aside_and_holds_nobody_up():
    good = ('{"username":"eve","message":"x","tcpchat":1,"session":"s","position":1,"kind":"message","room":"%s","seq":1,"at":1,'
            '"server":"","client":"%s","number":"1"}' % ("f" * 20, CLIENT))
    strangers = ["", "no JSON", "[]", '{"username":"eve","message":"from another server"}', '{"tcpchat":1}', good,
                 good.replace('"kind":"message"', '"kind":"something"'), good.replace('"number":"1"', '"number":"-1"'),
                 good.replace('"message":"x"', '"message":"\\u0007"'), "\x7f" * 3000000]
    with Pipeline() as pipeline, serve(pipeline) as server:
        bob = server.join("bob")
        bob.say("before")
        bob.expect("bob: before")
        amqp("put", pipeline.rabbitmq.url, "message_queue", *strangers[:9])
        subprocess.run([talk.program("AMQP_TRY"), "put", pipeline.rabbitmq.url, "message_queue", strangers[9][:100000]], check=True)
        bob.say("after")
        bob.expect("bob: after")
        wait_for(has_stored(pipeline, "before", "after"), "what is said goes on to be stored")
        wait_for(lambda: pipeline.rabbitmq.count(DEAD) == len(strangers), "all of the others are aside")
        found = amqp("take", pipeline.rabbitmq.url, DEAD).split("\n")[:-1]
        assert found == [*strangers[:9], strangers[9][:100000]], found
        assert "message-put-aside" in pipeline.messageapi.errors()
        assert "secret" not in pipeline.messageapi.errors() and "guest" not in pipeline.messageapi.errors()


def test_what_there_is_no_memory_for_is_not_put_aside():
    """A program whose allocations fail is no fault of what people said."""
    if talk.BUILD_KIND != "plain":
        talk.skip("a sanitizer has allocations of its own")
    size = 30000
    with Pipeline() as pipeline, faults.chooser() as (fields, environment):
        assert pipeline.messageapi.stop() == 0
        pipeline.messageapi.environment = environment
        pipeline.messageapi.start()
        assert fields.loaded == 1, "the library was not loaded into messageapi"
        with serve(pipeline) as server:
            bob = server.join("bob")
            bob.say("before")
            bob.expect("bob: before")
            wait_for(has_stored(pipeline, "before"), "it is stored")
            fields.memory_least, fields.memory_most, fields.memory_fails = size, size + 200, 3
            bob.say("x" * size)
            bob.say("after")
            bob.expect("bob: " + "x" * size)
            bob.expect("bob: after")
            wait_for(has_stored(pipeline, "before", "x" * size, "after"), "all is stored, in its order")
            assert fields.memory_failed == 3, fields.memory_failed
        assert not pipeline.rabbitmq.count(DEAD), "nothing is aside"
        assert "storing-stopped" in pipeline.messageapi.errors() and "message-put-aside" not in pipeline.messageapi.errors()


def test_there_is_one_server_and_one_messageapi_and_the_database_is_postgresql_s():
    with Pipeline() as pipeline:
        with serve(pipeline) as server:
            bob = server.join("bob")
            code, _, errors = talk.run_server("--listen", "127.0.0.1:0", "--journal", pipeline.journal, "--message-api",
                                              pipeline.messageapi.address, "--journal-patience", "1")
            assert code == 1 and "another server uses this queue, and only one can" in errors, errors
            assert "guest:guest" not in errors, errors
            other = Messageapi(pipeline.rabbitmq.url, pipeline.postgres.url)
            try:
                wait_for(lambda: "only one messageapi can" in other.errors(), "the second one says why it waits")
                bob.say("one")
                bob.expect("bob: one")
                pipeline.messageapi.crash()
                wait_for(lambda: [text for _, text in other.find_all()] == ["one"], "the second one answers")
                bob.say("two")
                bob.expect("bob: two")
                wait_for(lambda: [text for _, text in other.find_all()] == ["one", "two"], "and takes over")
            finally:
                other.close()
            pipeline.messageapi.start()
        with Server(journal=pipeline.postgres.url, history="all") as server:
            ann = server.join("ann")
            expect_history(ann, "bob: one", "bob: two")
            ann.say("three")
            ann.expect("ann: three")
        with serve(pipeline, history="all") as server:
            eve = server.join("eve")
            expect_history(eve, "bob: one", "bob: two", "ann: three")
            eve.say("four")
            eve.expect("eve: four")
        wait_for(has_stored(pipeline, "one", "two", "three", "four"), "all is there")


def test_the_chat_goes_on_while_messageapi_is_away():
    with Pipeline() as pipeline:
        with serve(pipeline, history="all") as server:
            bob = come_back(server, "bob", CLIENT)
            first = send(bob, "one", 1)
            pipeline.messageapi.crash()
            texts = [f"line {number}" for number in range(2, 200)]
            for number, text in enumerate(texts, 2):
                assert send(bob, text, number) == first + number - 1
            assert send(bob, "again", 100) == first + 99, "what is in the queue alone is known"
            bob.ask("history", count=50)
            events = bob.until(kind="message", text=texts[-1])
            assert [event["text"] for event in events if event["kind"] == "message"][-50:] == texts[-50:]
            server.send_signal(talk.signal.SIGKILL)
            server.ended()
        code, _, errors = talk.run_server("--listen", "127.0.0.1:0", *pipeline.options, "--journal-patience", "1")
        assert code == 1 and "messageapi: " in errors, errors
        pipeline.messageapi.start()
        with serve(pipeline, history="all") as server:
            bob = come_back(server, "bob", CLIENT)
            assert send(bob, "again", 150) == first + 149, "and afterwards, too"
            assert pipeline.messageapi.find_all() == [("bob", text) for text in ["one", *texts]]


def test_a_server_that_another_one_has_followed_does_not_go_on():
    """It was away, another server had the queue, and has given numbers that it does not know."""
    with Pipeline() as pipeline, serve(pipeline, "--journal-patience", "2") as first:
        bob = first.join("bob")
        bob.say("one")
        bob.expect("bob: one")
        first.send_signal(talk.signal.SIGSTOP)
        pipeline.rabbitmq.control("close_all_connections", "test")
        with serve(pipeline) as second:
            ann = second.join("ann")
            ann.say("two")
            ann.expect("ann: two")
        first.send_signal(talk.signal.SIGCONT)
        first.log.wait("journal-overtaken .*another server has used the queue meanwhile")
        bob.say("three")
        assert bob.line().startswith("! not-stored: "), "it says that it cannot"
        wait_for(has_stored(pipeline, "one", "two"), "nothing of it is stored")


def test_the_broker_is_reached_with_tls_and_has_to_prove_who_it_is():
    with tempfile.TemporaryDirectory(prefix="tcpchat-tls-") as folder:
        os.chmod(folder, 0o755)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder + "/key.pem", "-out",
                        folder + "/cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True)
        os.chmod(folder + "/key.pem", 0o644)
        with Pipeline(tls=folder) as pipeline:
            with serve(pipeline) as server:
                bob = server.join("bob")
                bob.say("hello")
                bob.expect("bob: hello")
                wait_for(has_stored(pipeline, "hello"), "it is stored")
            code, _, errors = talk.run_server("--listen", "127.0.0.1:0", "--journal", pipeline.journal.split("?")[0], "--message-api",
                                              pipeline.messageapi.address, "--journal-patience", "1")
            assert code == 1 and "verification failed" in errors, errors


def test_who_has_no_token_is_told_nothing():
    import grpc  # pylint: disable=import-error,import-outside-toplevel
    with tempfile.NamedTemporaryFile("w", prefix="tcpchat-token-") as token:
        token.write("a long word\n")
        token.flush()
        with Pipeline("--token-file", token.name) as pipeline:
            with serve(pipeline, "--message-api-token-file", token.name) as server:
                bob = server.join("bob")
                bob.say("hello")
                bob.expect("bob: hello")
            for metadata in ((), (("authorization", "Bearer a short word"),), (("authorization", "Basic a long word"),)):
                try:
                    pipeline.messageapi.call("/MessageService/FindAll", metadata=metadata)
                    raise AssertionError("it was answered")
                except grpc.RpcError as error:
                    assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
            wait_for(lambda: b"hello" in pipeline.messageapi.call("/MessageService/FindAll",
                                                                  metadata=(("authorization", "Bearer a long word"),)),
                     "with the token it is answered")
            pipeline.messageapi.call("/grpc.health.v1.Health/Check")
            code, _, errors = talk.run_server("--listen", "127.0.0.1:0", *pipeline.options, "--journal-patience", "1")
            assert code == 1 and "UNAUTHENTICATED" in errors, errors


def test_the_commands_of_the_readme():
    """With the ports, names and folders of this test, and passwords that are in files alone."""
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "README.md"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    api, server = ([word for line in lines if line.startswith("    " + program) and "mq.secret" in line for word in line.split()[1:]]
                   for program in ("messageapi ", "tcpserver "))
    with Pipeline() as pipeline, tempfile.TemporaryDirectory(prefix="tcpchat-readme-") as folder:
        assert pipeline.messageapi.stop() == 0
        with open(folder + "/mq.secret", "w", encoding="ascii") as file:
            os.chmod(file.name, 0o600)
            file.write("guest\n")
        changes = {"amqp://chat@localhost/": f"amqp://guest@127.0.0.1:{pipeline.rabbitmq.port}/", "mq.secret": folder + "/mq.secret",
                   "postgres://chat@localhost/chat": pipeline.postgres.url, "localhost:50051": pipeline.messageapi.address}
        pipeline.messageapi.arguments[1:] = ["--listen", pipeline.messageapi.address, *[changes.get(word, word) for word in api]]
        pipeline.messageapi.start()
        with Server(*[changes.get(word, word) for word in server], journal=None) as chat:
            bob = chat.join("bob")
            bob.say("hello")
            bob.expect("bob: hello")
            wait_for(has_stored(pipeline, "hello"), "it is stored")
            for pid in (chat.pid, pipeline.messageapi.process.pid):
                with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                    assert "secret@" not in file.read(), "ps shows a password"


def test_passwords_are_not_seen_in_ps():
    for amqp_url in ("amqp://ann:geheim@127.0.0.1:1/", "amqp://ann:ge%68eim@127.0.0.1:1/"):
        for postgres in ("postgres://ann:ge?heim@127.0.0.1:1/chat", "postgres://ann:ge#heim@127.0.0.1:1/chat",
                         "postgres://ann@127.0.0.1:1/chat?pass%77ord=geheim&sslpassword=geheim"):
            arguments = [talk.program("MESSAGEAPI"), "--listen", "127.0.0.1:0", "--amqp", amqp_url, "--postgres", postgres]
            process = subprocess.Popen(arguments, env=talk.clean_environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                line = process.stderr.readline()
                with open(f"/proc/{process.pid}/cmdline", encoding="utf-8") as file:
                    shown = file.read()
            finally:
                process.kill()
                _, errors = process.communicate()
            assert "eim" not in line + errors + shown and shown.count("***") >= 2, (line, shown, errors)


def test_options_that_are_wrong_are_refused_in_words():
    def run(*arguments, **environment):
        done = subprocess.run([talk.program("MESSAGEAPI"), *arguments], env=talk.clean_environment(environment), stdin=subprocess.DEVNULL,
                              capture_output=True, check=False, timeout=talk.DEADLINE)
        return done.returncode, done.stderr.decode()

    both = ("--amqp", "amqp://localhost/", "--postgres", "postgres://localhost/chat")
    for arguments, words in (((), "--amqp URL and --postgres URL are needed"), ((*both, "more"), "there are only options"),
                             ((*both, "--listen", "x"), "HOST:PORT"), (("--amqp", "http://localhost/"), "amqp://USER:PASSWORD@HOST:PORT/VHOST"),
                             (("--amqp", "amqp://localhost/?x=y"), "cacertfile=FILE"), (("--postgres", "localhost"), "postgres://")):
        code, errors = run(*arguments)
        assert code == 2 and words in errors, (arguments, errors)
    for url in ("postgres://ann:geheim/more@localhost/chat", "postgres://ann:ge@heim@localhost/chat"):
        code, errors = run(*both[:3], url)
        assert code == 1 and "%2F" in errors and "heim" not in errors, errors
    for url in ("amqp://ann:geheim@localhost:x/", "amqp://ann:ge#heim@localhost/", "amqp://ann:ge/heim@localhost/"):
        code, errors = run("--amqp", url, *both[2:])
        assert code == 2 and "heim" not in errors, errors
    for option in ("--token-file", "--amqp-password-file", "--postgres-password-file"):
        code, errors = run(*both, option, "/nowhere")
        assert code == 1 and f"{option} /nowhere: No such file" in errors, errors
        with talk.temporary_file("") as empty:
            code, errors = run(*both, option, empty)
            assert code == 1 and "its first line has to be" in errors, errors
    code, errors = run(RABBITMQ_URL="http://x/", DATABASE_URL="postgres://localhost/chat")
    assert code == 2 and "RABBITMQ_URL" in errors, errors
    code, errors = run(*both, MESSAGEAPI_LOG_LEVEL="loud", CHAT_LISTEN="nonsense")
    assert code == 2 and "MESSAGEAPI_LOG_LEVEL" in errors, errors


if __name__ == "__main__":
    talk.main(600)
