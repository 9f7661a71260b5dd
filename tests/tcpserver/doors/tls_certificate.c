#include "tcpserver/doors/tls_certificate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/tls.h"
#include "tcpserver/doors/tls.h"

#include "tests/check.h"

enum { PATH_SIZE = 200 };

static char folder[] = "/tmp/tcpchat-certificate-XXXXXX";
static char certificate[PATH_SIZE];
static char key[PATH_SIZE];
static char fault[TLS_OPEN_FAULT_SIZE];

static void begin(void)
{
	CHECK(mkdtemp(folder) != NULL);
	(void)snprintf(certificate, sizeof certificate, "%s/chat.pem", folder);
	(void)snprintf(key, sizeof key, "%s/chat-key.pem", folder);
}

static void end(void)
{
	(void)unlink(certificate);
	(void)unlink(key);
	CHECK_EQUAL(rmdir(folder), 0); /* nothing else is left in it */
}

static void tell(char fingerprint[TLS_FINGERPRINT_SIZE])
{
	struct tls_options wanted = {.certificate_path = certificate, .key_path = key, .makes_own = true};
	struct tls *tls = tls_open(&wanted, fault, sizeof fault);
	char warning[TLS_OPEN_FAULT_SIZE];

	if (tls == NULL)
		FAIL("%s", fault);
	tls_tell_fingerprint(tls, fingerprint);
	CHECK(!tls_warns(tls, warning, sizeof warning));
	tls_close(tls);
}

TEST(a_certificate_that_was_made_is_made_once)
{
	char first[TLS_FINGERPRINT_SIZE];
	char again[TLS_FINGERPRINT_SIZE];
	struct stat status;

	begin();
	tell(first);
	tell(again);
	CHECK_TEXT(again, first);
	CHECK_EQUAL(stat(key, &status), 0);
	CHECK_EQUAL(status.st_mode & 0777, 0600);
	end();
}

TEST(reading_again_takes_what_is_there_or_nothing)
{
	struct tls_options wanted = {.certificate_path = certificate, .key_path = key, .makes_own = true};
	char first[TLS_FINGERPRINT_SIZE];
	char again[TLS_FINGERPRINT_SIZE];
	struct tls *tls;

	begin();
	tls = tls_open(&wanted, fault, sizeof fault);
	CHECK(tls != NULL);
	tls_tell_fingerprint(tls, first);
	CHECK_EQUAL(truncate(certificate, 100), 0);
	CHECK(tls_reload(tls, fault, sizeof fault) < 0);
	CHECK_CONTAINS(fault, "there is no good certificate in");
	tls_tell_fingerprint(tls, again);
	CHECK_TEXT(again, first);
	CHECK_EQUAL(unlink(certificate), 0);
	CHECK(certificate_make(certificate, key, fault, sizeof fault));
	CHECK_EQUAL(tls_reload(tls, fault, sizeof fault), 0);
	tls_tell_fingerprint(tls, again);
	CHECK(strcmp(again, first) != 0);
	tls_close(tls);
	end();
}

TEST(a_key_that_others_read_is_refused)
{
	struct tls *tls;

	begin();
	CHECK(certificate_make(certificate, key, fault, sizeof fault));
	CHECK_EQUAL(chmod(key, 0640), 0); /* its group may: a server that is not its owner has to be able to */
	tls = tls_open(&(struct tls_options){.certificate_path = certificate, .key_path = key}, fault, sizeof fault);
	CHECK(tls != NULL);
	tls_close(tls);
	CHECK_EQUAL(chmod(key, 0644), 0);
	CHECK(tls_open(&(struct tls_options){.certificate_path = certificate, .key_path = key}, fault, sizeof fault) == NULL);
	CHECK_CONTAINS(fault, "chmod 600");
	end();
}
