#include "tcpserver/doors/tls_certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "common/tls.h"

enum {
	YEARS = 10,
	DAY_S = 24 * 60 * 60,
	EARLIER_S = 60 * 60, /* a clock may be late */
	SERIAL_SIZE = 16,
	NAMES_SIZE = 512,
};

/* ---- Reading. ---- */

/* Opens a file for reading. NULL with a fault; 'is_key': nobody else may read it. */
static FILE *open_pem(const char *path, bool is_key, char *fault, size_t size)
{
	FILE *file = fopen(path, "re");
	struct stat status;

	if (file == NULL || fstat(fileno(file), &status) != 0) {
		(void)snprintf(fault, size, "cannot read %s: %s", path, strerror(errno));
	} else if (S_ISDIR(status.st_mode)) {
		(void)snprintf(fault, size, "cannot read %s: it is a folder", path);
	} else if (is_key && (status.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
		(void)snprintf(fault, size, "others may read or write the key %s; chmod 600 it", path);
	} else {
		return file;
	}
	if (file != NULL)
		(void)fclose(file); /* only read */
	return NULL;
}

/* What a PEM file says that it is, as in "PRIVATE KEY"; "" when it says nothing. */
static void tell_kind(const char *path, char *kind, size_t size)
{
	FILE *file = fopen(path, "re");
	char line[128];

	kind[0] = '\0';
	while (file != NULL && kind[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
		char *end = strncmp(line, "-----BEGIN ", 11) == 0 ? strstr(line + 11, "-----") : NULL;

		if (end != NULL)
			(void)snprintf(kind, size, "%.*s", (int)(end - line - 11), line + 11);
	}
	if (file != NULL)
		(void)fclose(file);
}

static void explain_kind(const char *path, const char *wanted, char *fault, size_t size)
{
	char kind[64];

	tell_kind(path, kind, sizeof kind);
	if (strcmp(kind, "ENCRYPTED PRIVATE KEY") == 0)
		(void)snprintf(fault, size,
			"the key %s is locked with a password; write it without one: openssl pkey -in %s -out KEY", path, path);
	else if (kind[0] == '\0')
		(void)snprintf(fault, size, "there is no %s in %s, which has to be a PEM file", wanted, path);
	else
		(void)snprintf(fault, size, "there is no good %s in %s; what is in it is called %s", wanted, path, kind);
	ERR_clear_error();
}

/* The rest of the file, those who vouch for the certificate. */
static bool load_chain(SSL_CTX *context, FILE *file)
{
	X509 *certificate;

	while ((certificate = PEM_read_X509(file, NULL, NULL, NULL)) != NULL) {
		if (SSL_CTX_add0_chain_cert(context, certificate) != 1) {
			X509_free(certificate);
			return false;
		}
	}
	/* The end of the file is no error; half a certificate is one. */
	return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

static bool load_certificate(SSL_CTX *context, const char *path, char *fault, size_t size)
{
	FILE *file = open_pem(path, false, fault, size);
	X509 *certificate = NULL;
	char reason[TLS_FAULT_SIZE];

	if (file == NULL)
		return false;
	ERR_clear_error();
	certificate = PEM_read_X509_AUX(file, NULL, NULL, NULL);
	if (certificate == NULL) {
		explain_kind(path, "certificate", fault, size);
		goto fail;
	}
	if (SSL_CTX_use_certificate(context, certificate) != 1 || !load_chain(context, file)) {
		tls_fault(reason, sizeof reason);
		(void)snprintf(fault, size, "the certificate in %s cannot be used: %s", path, reason);
		goto fail;
	}
	ERR_clear_error();
	X509_free(certificate);
	(void)fclose(file); /* only read */
	return true;

fail:
	X509_free(certificate);
	(void)fclose(file);
	return false;
}

/* No password is asked for at the terminal. */
static int no_password(char *buffer, int size, int is_write, void *context)
{
	(void)buffer, (void)size, (void)is_write, (void)context;
	return -1;
}

static EVP_PKEY *read_key(const char *path, char *fault, size_t size)
{
	FILE *file = open_pem(path, true, fault, size);
	EVP_PKEY *key;

	if (file == NULL)
		return NULL;
	ERR_clear_error();
	key = PEM_read_PrivateKey(file, NULL, no_password, NULL);
	(void)fclose(file); /* only read */
	if (key == NULL)
		explain_kind(path, "private key", fault, size);
	return key;
}

bool certificate_load(SSL_CTX *context, const char *certificate_path, const char *key_path, char *fault, size_t size)
{
	EVP_PKEY *key = NULL;
	bool fits;

	if (load_certificate(context, certificate_path, fault, size))
		key = read_key(key_path, fault, size);
	if (key == NULL)
		return false;
	fits = SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
	EVP_PKEY_free(key);
	ERR_clear_error();
	if (!fits)
		(void)snprintf(fault, size, "the key in %s is not that of the certificate in %s; give the two that were made together",
			key_path, certificate_path);
	return fits;
}

static void write_date(const ASN1_TIME *time, char text[CERTIFICATE_DATE_SIZE])
{
	struct tm parts = {.tm_mday = 0};

	if (ASN1_TIME_to_tm(time, &parts) != 1 || strftime(text, CERTIFICATE_DATE_SIZE, "%Y-%m-%d", &parts) == 0)
		(void)strcpy(text, "?");
}

bool certificate_warns(const X509 *certificate, char *warning, size_t size)
{
	const ASN1_TIME *before = X509_get0_notBefore(certificate);
	const ASN1_TIME *after = X509_get0_notAfter(certificate);
	char date[CERTIFICATE_DATE_SIZE];

	if (X509_cmp_current_time(after) < 0) {
		write_date(after, date);
		(void)snprintf(warning, size, "it has expired on %s: clients will refuse it; get a new one, and send SIGHUP", date);
		return true;
	}
	if (X509_cmp_current_time(before) > 0) {
		write_date(before, date);
		(void)snprintf(warning, size, "it is not valid before %s: clients will refuse it; is the clock right?", date);
		return true;
	}
	return false;
}

/* ---- Making. ---- */

/* As OpenSSL's configuration has them. Addresses are those of this machine for itself. */
static void tell_names(char names[NAMES_SIZE])
{
	char host[HOST_NAME_MAX + 1] = "";
	bool is_name;

	(void)gethostname(host, sizeof host - 1); /* without one there is none */
	is_name = host[0] != '\0' && strcmp(host, "localhost") != 0 &&
		  host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")] == '\0';
	(void)snprintf(names, NAMES_SIZE, "DNS:localhost%s%s,IP:127.0.0.1,IP:::1", is_name ? ",DNS:" : "", is_name ? host : "");
}

static bool add_extension(X509 *certificate, int kind, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
	added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

static bool set_serial(X509 *certificate)
{
	unsigned char bytes[SERIAL_SIZE];
	BIGNUM *number;
	bool set;

	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return false;
	bytes[0] = (bytes[0] & 0x3F) | 0x40; /* positive, and of full length */
	number = BN_bin2bn(bytes, sizeof bytes, NULL);
	set = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
	BN_free(number);
	return set;
}

static bool fill_certificate(X509 *certificate, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	char names[NAMES_SIZE];

	tell_names(names);
	return X509_set_version(certificate, 2) == 1 && /* which is called 3 */
	       set_serial(certificate) && X509_gmtime_adj(X509_getm_notBefore(certificate), -EARLIER_S) != NULL &&
	       X509_time_adj_ex(X509_getm_notAfter(certificate), YEARS * 365 + YEARS / 4, 0, NULL) != NULL &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0) == 1 &&
	       X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
	       add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
	       add_extension(certificate, NID_subject_key_identifier, "hash") &&
	       add_extension(certificate, NID_subject_alt_name, names) && X509_sign(certificate, key, EVP_sha256()) > 0;
}

static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *certificate = X509_new();

	if (certificate != NULL && fill_certificate(certificate, key))
		return certificate;
	X509_free(certificate);
	return NULL;
}

/* ---- Keeping. ---- */

static int sync_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
	int descriptor = folder == NULL ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = descriptor < 0 || fsync(descriptor) != 0 ? -errno : 0;

	if (descriptor >= 0)
		(void)close(descriptor); /* only synced */
	free(folder);
	return error;
}

/* Writes all of 'memory' to a new file that is there whole or not at all; one that is there already stays. */
static int keep_file(const char *path, BIO *memory, mode_t mode)
{
	char *bytes;
	long bytes_size = BIO_get_mem_data(memory, &bytes);
	char *temporary = NULL;
	int error = -ENOMEM;
	int file;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	file = mkostemp(temporary, O_CLOEXEC); /* 0600 */
	error = file < 0 ? -errno : 0;
	if (error == 0 && (write(file, bytes, (size_t)bytes_size) != bytes_size || fchmod(file, mode) != 0 || fsync(file) != 0))
		error = errno == 0 ? -ENOSPC : -errno;
	if (file >= 0 && close(file) != 0 && error == 0)
		error = -errno;
	if (error == 0 && link(temporary, path) != 0)
		error = errno == EEXIST ? 0 : -errno; /* another server was faster: its file counts */
	if (file >= 0)
		(void)unlink(temporary); /* it has another name, or is of no use */
	free(temporary);
	return error == 0 ? sync_folder_of(path) : error;
}

static bool keep_pem(const char *path, BIO *memory, bool is_written, mode_t mode, char *fault, size_t size)
{
	int error = is_written ? keep_file(path, memory, mode) : -ENOMEM;

	BIO_free(memory);
	if (error != 0)
		(void)snprintf(fault, size, "cannot write %s: %s", path, strerror(-error));
	return error == 0;
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0 || errno != ENOENT;
}

static bool make_key(const char *path, char *fault, size_t size)
{
	BIO *memory = BIO_new(BIO_s_secmem());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	bool written = memory != NULL && key != NULL && PEM_write_bio_PrivateKey(memory, key, NULL, NULL, 0, NULL, NULL) == 1;

	EVP_PKEY_free(key);
	return keep_pem(path, memory, written, S_IRUSR | S_IWUSR, fault, size);
}

bool certificate_make(const char *certificate_path, const char *key_path, char *fault, size_t size)
{
	X509 *certificate;
	EVP_PKEY *key;
	BIO *memory;
	bool written;

	if (exists(certificate_path) && !exists(key_path)) {
		(void)snprintf(fault, size,
			"%s is there, but its key %s is not; put it back, or remove the certificate, and a new one is made",
			certificate_path, key_path);
		return false;
	}
	if (exists(certificate_path))
		return true;
	if (!exists(key_path) && !make_key(key_path, fault, size))
		return false;
	key = read_key(key_path, fault, size);
	if (key == NULL)
		return false;
	certificate = make_certificate(key);
	EVP_PKEY_free(key);
	memory = BIO_new(BIO_s_mem());
	written = memory != NULL && certificate != NULL && PEM_write_bio_X509(memory, certificate) == 1;
	X509_free(certificate);
	return keep_pem(certificate_path, memory, written, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH, fault, size);
}
