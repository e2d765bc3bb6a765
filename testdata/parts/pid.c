/* Answers with the number of its process. */
#include <unistd.h>

#include <fcgiapp.h>

int main(void)
{
	FCGX_Request r;

	FCGX_Init();
	FCGX_InitRequest(&r, 0, 0);
	while (FCGX_Accept_r(&r) >= 0) {
		FCGX_FPrintF(r.out, "Content-Type: text/plain\r\n\r\n%d", (int)getpid());
		FCGX_Finish_r(&r);
	}
	return 0;
}
