/*
 * banned.h: functions that this tree does not use become compile errors. The Makefile includes it ahead of every file.
 * Instead: buf.h and str.h for text, parse_int for numbers, clock.h for time, proc.h for programs.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANNED(function) sorry_##function##_is_banned_see_lib_base_banned_h

#undef strcpy
#define strcpy(to, from) BANNED(strcpy)
#undef strcat
#define strcat(to, from) BANNED(strcat)
#undef strncpy
#define strncpy(to, from, n) BANNED(strncpy)
#undef strncat
#define strncat(to, from, n) BANNED(strncat)
#undef strtok
#define strtok(text, separators) BANNED(strtok)
#undef sprintf
#define sprintf(...) BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf)
#undef atoi
#define atoi(text) BANNED(atoi)
#undef atol
#define atol(text) BANNED(atol)
#undef strtol
#define strtol(text, end, base) BANNED(strtol)
#undef gmtime
#define gmtime(time) BANNED(gmtime)
#undef localtime
#define localtime(time) BANNED(localtime)
#undef ctime
#define ctime(time) BANNED(ctime)
#undef system
#define system(command) BANNED(system)
#undef popen
#define popen(command, mode) BANNED(popen)
