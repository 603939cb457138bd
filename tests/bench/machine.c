/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* On what it was measured. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <jansson.h>

#include "tests/bench/bench.h"
#include "util/util.h"

static void find_cpu(char *text, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];
	bool found = false;

	snprintf(text, size, "model not told by /proc/cpuinfo");
	while (file && !found && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');

		found = colon && strncmp(line, "model name", 10) == 0;
		if (found) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(text, size, "%s", colon + 1 + strspn(colon + 1, " "));
		}
	}
	if (file)
		fclose(file);
}

/* "never" of "always within_size advise [never] deny force". */
static void find_shmem_huge(char *text, size_t size)
{
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "re");
	char line[128], *open = NULL;

	snprintf(text, size, "not told by sysfs");
	if (file && fgets(line, sizeof(line), file))
		open = strchr(line, '[');
	if (open)
		snprintf(text, size, "%.*s", (int)strcspn(open + 1, "]"), open + 1);
	if (file)
		fclose(file);
}

double machine_load(void)
{
	double load = 0;

	getloadavg(&load, 1);
	return load;
}

void machine_examine(struct machine *machine)
{
	struct utsname name;

	uname(&name);
	snprintf(machine->kernel, sizeof(machine->kernel), "%.64s %.64s %.64s", name.sysname,
		name.release, name.machine);
	find_cpu(machine->cpu, sizeof(machine->cpu));
	find_shmem_huge(machine->shmem_huge, sizeof(machine->shmem_huge));
	machine->cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	machine->root = geteuid() == 0;
#ifdef __clang__
	snprintf(machine->tools, sizeof(machine->tools), "%s, jansson %s", __VERSION__,
		jansson_version_str());
#else
	snprintf(machine->tools, sizeof(machine->tools), "gcc %s, jansson %s", __VERSION__,
		jansson_version_str());
#endif
#ifdef GHMEM_SANITIZED
	machine->sanitized = true;
#endif
#ifdef __OPTIMIZE__
	machine->optimized = true;
#endif
	machine->load_before = machine_load();
}
