/* A wall clock of one's own, for a process with this library in LD_PRELOAD: the file that WALL_CLOCK names
 * says by how many seconds it differs from the real one. All other clocks are as they are. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    long result = syscall(SYS_clock_gettime, clock, time);
    const char *path = getenv("WALL_CLOCK");
    if (result == 0 && clock == CLOCK_REALTIME && path != NULL) {
        long seconds = 0;
        FILE *file = fopen(path, "r");
        if (file != NULL) {
            if (fscanf(file, "%ld", &seconds) == 1) {
                time->tv_sec += seconds;
            }
            fclose(file);
        }
    }
    return (int)result;
}
