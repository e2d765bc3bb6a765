/*
 * The application that TestPeers talks to, made with libfcgi. echo.php,
 * echo.pl and the handler echo in peers_test.go do the same:
 *
 *   do=hello   hello
 *   do=params  all params, NAME=VALUE, one a line
 *   do=sum     length of the body and its FNV-1a sum of 64 bits
 *   do=big     10 MiB
 *   do=missing status 404
 *   do=moved   Location and nothing else
 *   do=note    a line to STDERR before the answer
 *   do=head    a field X-Large of 30000 bytes, and 99 more
 *   do=slow    "begun", then a dot every 10 ms, for 2 s or until a write fails
 *   do=exit    "begun", then the process ends
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <fcgiapp.h>

static const char plain[] = "Content-Type: text/plain\r\n\r\n";

static void sum(FCGX_Request *r)
{
	uint64_t h = 0xcbf29ce484222325u;
	long size = 0;
	int c;

	while ((c = FCGX_GetChar(r->in)) != EOF) {
		h = (h ^ (unsigned char)c) * 0x100000001b3u;
		size++;
	}
	FCGX_FPrintF(r->out, "%s%ld %08lx%08lx", plain, size,
		(unsigned long)(h >> 32), (unsigned long)(h & 0xffffffff));
}

static void slow(FCGX_Request *r)
{
	const struct timespec pause = {0, 10 * 1000 * 1000};

	FCGX_FPrintF(r->out, "%sbegun\n", plain);
	for (int i = 0; i < 200 && FCGX_FFlush(r->out) == 0; i++) {
		nanosleep(&pause, NULL);
		FCGX_PutS(".", r->out);
	}
}

static void head(FCGX_Request *r)
{
	FCGX_PutS("X-Large: ", r->out);
	for (int i = 0; i < 30000; i++)
		FCGX_PutChar('x', r->out);
	FCGX_PutS("\r\n", r->out);
	for (int i = 1; i < 100; i++)
		FCGX_FPrintF(r->out, "X-%d: %d\r\n", i, i);
	FCGX_FPrintF(r->out, "%shead", plain);
}

static void answer(FCGX_Request *r)
{
	const char *query = FCGX_GetParam("QUERY_STRING", r->envp);

	if (query == NULL) {
		FCGX_PutS("Status: 400 Bad Request\r\n\r\nno QUERY_STRING", r->out);
	} else if (strcmp(query, "do=hello") == 0) {
		FCGX_FPrintF(r->out, "%shello", plain);
	} else if (strcmp(query, "do=sum") == 0) {
		sum(r);
	} else if (strcmp(query, "do=big") == 0) {
		FCGX_PutS(plain, r->out);
		for (int i = 0; i < 655360; i++)
			FCGX_PutS("0123456789abcdef", r->out);
	} else if (strcmp(query, "do=missing") == 0) {
		FCGX_FPrintF(r->out, "Status: 404 Not Found\r\n%smissing", plain);
	} else if (strcmp(query, "do=moved") == 0) {
		FCGX_PutS("Location: http://example.org/there\r\n\r\n", r->out);
	} else if (strcmp(query, "do=note") == 0) {
		FCGX_PutS("a note to the log\n", r->err);
		FCGX_FPrintF(r->out, "%snoted", plain);
	} else if (strcmp(query, "do=head") == 0) {
		head(r);
	} else if (strcmp(query, "do=slow") == 0) {
		slow(r);
	} else if (strcmp(query, "do=exit") == 0) {
		FCGX_FPrintF(r->out, "%sbegun\n", plain);
		FCGX_FFlush(r->out);
		_exit(1);
	} else {
		FCGX_PutS(plain, r->out);
		for (char **p = r->envp; *p != NULL; p++)
			FCGX_FPrintF(r->out, "%s\n", *p);
	}
}

int main(void)
{
	FCGX_Request r;

	FCGX_Init();
	FCGX_InitRequest(&r, 0, 0);
	while (FCGX_Accept_r(&r) >= 0) {
		answer(&r);
		FCGX_Finish_r(&r);
	}
	return 0;
}
