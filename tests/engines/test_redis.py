"""Redis as an engine: the contract, and what is Redis's own."""

import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "talk"))
import talk  # noqa: E402

from redis import Redis, Skip  # noqa: E402


def database(**options):
    try:
        return Redis(**options)
    except Skip as reason:
        raise talk.Skip(str(reason)) from None


def run(program, redis, *sentences, url=None):
    """Runs sentences of a program of tests. Returns status and what was printed."""
    environment = {**os.environ, **redis.environment(), **({"TEST_ENGINE_URL": url} if url else {})}
    done = subprocess.run([talk.program(program), *sentences], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    print(done.stdout.decode(errors="replace"))
    return done.returncode, done.stdout.decode(errors="replace")


def test_the_contract_is_kept():
    with database() as redis:
        assert run("ENGINE_CONTRACT", redis)[0] == 0


def test_journals_on_it_keep_theirs():
    with database() as redis:
        assert run("JOURNAL_CONTRACT", redis)[0] == 0


def test_what_is_its_own_is_true():
    with database() as redis:
        assert run("ENGINE_OWN", redis)[0] == 0


def test_the_password_is_needed():
    with database(password="a b@c") as redis:
        sentence = "a_redis_that_has_forgotten_the_scripts_is_told_them_again"
        place = f"127.0.0.1:{redis.port}"
        assert run("ENGINE_OWN", redis, sentence, url=f"redis://:a%20b%40c@{place}/3")[0] == 0
        assert run("ENGINE_OWN", redis, sentence, url=f"redis://default:a%20b%40c@{place}")[0] == 0
        status, words = run("ENGINE_OWN", redis, sentence, url=f"redis://:wrong-one@{place}")
        assert status != 0 and "does not accept" in words and "wrong-one" not in words, words
        status, words = run("ENGINE_OWN", redis, sentence, url=f"redis://{place}")
        assert status != 0 and "NOAUTH" in words, words


def test_a_replica_takes_nothing_and_one_that_is_waited_for_has_it():
    with database() as redis, database(settings=[f"replicaof 127.0.0.1 {redis.port}"]) as replica:
        talk.wait_for(lambda: "master_link_status:up" in replica.cli("INFO", "replication"), "the replica follows")
        sentence = "a_redis_that_has_forgotten_the_scripts_is_told_them_again"
        assert run("ENGINE_OWN", redis, sentence, url=redis.url + "?replicas=1")[0] != 77
        assert run("ENGINE_CONTRACT", redis, "numbers_are_dense_whoever_writes", url=redis.url + "?replicas=1")[0] == 0
        status, words = run("ENGINE_OWN", replica, sentence)
        assert status != 0 and "READONLY" in words, words


def certificate(folder, name):
    """A certificate that vouches for itself."""
    paths = os.path.join(folder, f"{name}.crt"), os.path.join(folder, f"{name}.key")
    kind = "IP" if name[0].isdigit() else "DNS"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName={kind}:{name}", "-out", paths[0], "-keyout", paths[1]],
                   check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return paths


def test_through_tls_the_contract_is_kept_and_the_certificate_is_looked_at():
    folder = tempfile.mkdtemp(prefix="redis-tls-")
    try:
        mine, other = certificate(folder, "127.0.0.1"), certificate(folder, "other.example")
        with database(tls=mine) as redis:
            sentence = "a_redis_that_has_forgotten_the_scripts_is_told_them_again"
            assert run("ENGINE_CONTRACT", redis, "the_longest_text_is_kept_whole", url=f"{redis.url}?cacert={mine[0]}")[0] == 0
            assert run("ENGINE_CONTRACT", redis, "the_greatest_group_is_kept_in_its_order", url=f"{redis.url}?cacert={mine[0]}")[0] == 0
            assert run("ENGINE_CONTRACT", redis, "others_are_told_what_is_new", url=f"{redis.url}?cacert={mine[0]}")[0] == 0
            for url, why in ((redis.url, "certificate"), (f"{redis.url}?cacert={other[0]}", "certificate"),
                             (redis.url.replace("127.0.0.1", "localhost") + f"?cacert={mine[0]}", "certificate"),
                             (f"{redis.url}?cacert={folder}/none", "cacert"), (redis.url.replace("rediss", "redis"), "Redis")):
                status, words = run("ENGINE_OWN", redis, sentence, url=url)
                assert status == 1 and why in words, (url, words)
    finally:
        shutil.rmtree(folder)


def test_a_url_that_makes_no_sense_is_refused():
    with database() as redis:
        for end in ("?what=1", "?maxlen=", "?maxlen=-1", "?maxlen=1x", "?replicas=1001", "?prefix=%0A", "?cacert=/x", "?x"):
            status, words = run("ENGINE_OWN", redis, "a_number_that_scripts_cannot_count_is_refused", url=redis.url + end)
            assert status == 1 and "URL" in words, (end, words)


if __name__ == "__main__":
    talk.main(600)
