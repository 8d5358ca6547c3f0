/*
 * tls_algorithms.h: OpenSSL with the few algorithms that a command line has a use for. Private to lib/net.
 */
#pragma once

/*
 * For a program's first use of OpenSSL. Without effect where OpenSSL is a shared library, whose default provider cannot be
 * taken apart: everything works then too, a millisecond later.
 */
void tls_algorithms_limit(void);
/*
 * Before a certificate is verified or used: it names its digest by number, and the names of those come from a list that
 * OpenSSL, once limited, fills only when it is told to.
 */
void tls_algorithms_name_digests(void);
