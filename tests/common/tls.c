#include "common/tls.h"

#include <string.h>

#include "tests/check.h"

static const char text[] = "SHA256:00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:FF";

static void check_same(const char *other)
{
	unsigned char hash[TLS_HASH_SIZE];
	char again[TLS_FINGERPRINT_SIZE];

	if (!tls_fingerprint_read(other, hash))
		FAIL("\"%s\" is refused", other);
	tls_fingerprint_write(hash, again);
	CHECK_TEXT(again, text);
}

static void check_none(const char *other)
{
	unsigned char hash[TLS_HASH_SIZE];

	if (tls_fingerprint_read(other, hash))
		FAIL("\"%s\" passes", other);
}

TEST(a_fingerprint_is_read_as_people_write_it)
{
	check_same(text);
	check_same(text + 7);
	check_same("sha256:00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1e:ff");
	check_same("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eFF");
}

TEST(anything_else_is_no_fingerprint)
{
	check_none("");
	check_none("SHA256:");
	check_none("SHA1:00");
	check_none("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e");
	check_none("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eFF00");
	check_none("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eFG");
	check_none(":00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:FF");
	check_none("00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:F");
}
