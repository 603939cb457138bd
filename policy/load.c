/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* From directories and files to a snapshot: which files count, in which order, and who may write them. */

#define FILE_SIZE_MAX ((off_t)64 * 1024 * 1024)

struct candidate {
	const char *name; /* within its directory */
	size_t dir;
};

struct candidates {
	struct candidate *all;
	size_t n, allocated;
};

struct loader {
	struct checker checker;
	size_t n_numbered; /* directories and files spoken of so far */
	bool is_installed; /* the files are the policy of a daemon: who may write them matters */
};

_printf_(4, 5) static void complain_file(struct loader *loader, enum policy_severity severity,
	const char *file, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_addv(&loader->checker.report, severity, loader->n_numbered, file, NULL, format,
		arguments);
	va_end(arguments);
}

/*
 * Whoever can write a policy file or its directory is as powerful as the daemon, so only the daemon's
 * own user and root may.
 */
static bool check_writers(struct loader *loader, const char *path, const struct stat *st)
{
	uid_t self = geteuid();
	mode_t foreign = self == 0 ? S_IWGRP | S_IWOTH : S_IWOTH;

	if (!loader->is_installed)
		return true;
	if (st->st_uid != 0 && st->st_uid != self) {
		complain_file(loader, POLICY_ERROR, path,
			"belongs to uid %u, who could change the policy: chown it to root",
			(unsigned)st->st_uid);
		return false;
	}
	if (st->st_mode & foreign) {
		complain_file(loader, POLICY_ERROR, path,
			"can be written by others (mode %04o): chmod %s",
			(unsigned)(st->st_mode & 07777), self == 0 ? "go-w" : "o-w");
		return false;
	}
	return true;
}

static bool is_null_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

/* A link to /dev/null, also where there is no /dev. */
static bool is_null_link(const char *path)
{
	char target[sizeof("/dev/null") + 1];
	ssize_t n = readlink(path, target, sizeof(target));

	return n == (ssize_t)strlen("/dev/null") && !memcmp(target, "/dev/null", (size_t)n);
}

/* The whole of a regular file. Returns 0, -errno, or -EFBIG when it is too large. */
static int read_whole(int fd, char **ret, size_t *ret_size)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0, allocated = 0;

	for (;;) {
		ssize_t n;

		if (size == allocated) {
			char *more;

			if (allocated > (size_t)FILE_SIZE_MAX)
				return -EFBIG;
			allocated = allocated ? allocated * 2 : 16 * 1024;
			more = realloc(text, allocated);
			if (!more)
				return -ENOMEM;
			text = more;
		}
		n = read(fd, text + size, allocated - size);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		if (n > 0)
			size += (size_t)n;
	}
	*ret = TAKE_PTR(text);
	*ret_size = size;
	return 0;
}

/* Opens a file and looks at what it is. *ret_fd stays -1 for a mask. */
static bool open_file(struct loader *loader, const char *path, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (is_null_link(path))
		return true;
	/* Not to wait for a writer if somebody has put a pipe there. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0) {
		complain_file(loader, POLICY_ERROR, path, "cannot be read: %s", strerror(errno));
		return false;
	}
	if (is_null_device(&st))
		return true;
	if (!S_ISREG(st.st_mode)) {
		complain_file(loader, POLICY_ERROR, path,
			"is not a regular file: only files, and links to /dev/null, can be policy "
			"files");
		return false;
	}
	if (!check_writers(loader, path, &st))
		return false;
	*ret_fd = TAKE_FD(fd);
	return true;
}

static void load_file(struct loader *loader, const char *path)
{
	struct checker *checker = &loader->checker;
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r;

	loader->n_numbered++;
	if (!open_file(loader, path, &fd) || fd < 0)
		return;
	r = read_whole(fd, &text, &size);
	if (r == -ENOMEM)
		checker->no_memory = true;
	else if (r == -EFBIG)
		complain_file(loader, POLICY_ERROR, path, "is too large: at most %d MiB",
			(int)(FILE_SIZE_MAX >> 20));
	else if (r < 0)
		complain_file(loader, POLICY_ERROR, path, "cannot be read: %s", strerror(-r));
	if (r < 0 || size == 0)
		return;
	checker->file = arena_strdup(&checker->policy->arena, path);
	if (!checker->file) {
		checker->no_memory = true;
		return;
	}
	checker->file_number = loader->n_numbered;
	checker->policy->n_files++;
	check_text(checker, text, size);
}

static bool is_printable(const char *name)
{
	for (; *name; name++)
		if (*name < 0x20 || *name > 0x7e)
			return false;
	return true;
}

static void add_candidate(
	struct loader *loader, struct candidates *candidates, const char *name, size_t dir)
{
	char *copy = arena_strdup(&loader->checker.policy->arena, name);

	if (copy && candidates->n == candidates->allocated) {
		size_t allocated = candidates->allocated ? candidates->allocated * 2 : 16;
		struct candidate *all = reallocarray(candidates->all, allocated, sizeof(*all));

		if (!all)
			copy = NULL;
		else
			candidates->all = all;
		if (all)
			candidates->allocated = allocated;
	}
	if (!copy) {
		loader->checker.no_memory = true;
		return;
	}
	candidates->all[candidates->n++] = (struct candidate){ copy, dir };
}

static void take_entry(struct loader *loader, struct candidates *candidates, const char *dir_path,
	const char *name, size_t dir)
{
	const char *dot = strrchr(name, '.');

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return;
	if (!is_printable(name))
		complain_file(loader, POLICY_ERROR, dir_path,
			"has an entry whose name is not printable ASCII: rename or remove it");
	else if (name[0] == '.' || !dot || strcmp(dot, ".json") != 0)
		complain_file(loader, POLICY_NOTE, dir_path, "\"%s\" is ignored: %s", name,
			name[0] == '.' ? "it is hidden" : "its name does not end in .json");
	else
		add_candidate(loader, candidates, name, dir);
}

static void list_dir(
	struct loader *loader, struct candidates *candidates, const char *path, size_t dir)
{
	const struct dirent *entry;
	struct stat st;
	DIR *stream;

	loader->n_numbered++;
	stream = opendir(path);
	if (!stream && errno == ENOENT)
		return;
	if (!stream || fstat(dirfd(stream), &st) < 0)
		complain_file(loader, POLICY_ERROR, path, "cannot be read: %s", strerror(errno));
	else if (check_writers(loader, path, &st)) {
		while (errno = 0, (entry = readdir(stream)))
			take_entry(loader, candidates, path, entry->d_name, dir);
		if (errno)
			complain_file(
				loader, POLICY_ERROR, path, "cannot be read: %s", strerror(errno));
	}
	if (stream)
		closedir(stream);
}

/* By name; of one name the file of the last directory first. */
static int candidate_compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : x->dir > y->dir ? -1 : x->dir < y->dir;
}

static void load_dirs(struct loader *loader, const char *const *dirs, size_t n_dirs)
{
	struct candidates candidates = { 0 };

	for (size_t i = 0; i < n_dirs; i++)
		list_dir(loader, &candidates, dirs[i], i);
	if (candidates.n > 0)
		qsort(candidates.all, candidates.n, sizeof(*candidates.all), candidate_compare);
	for (size_t i = 0; i < candidates.n; i++) {
		const struct candidate *candidate = &candidates.all[i];
		_cleanup_free_ char *path = NULL;

		if (i > 0 && !strcmp(candidate->name, candidates.all[i - 1].name))
			continue;
		if (asprintf(&path, "%s/%s", dirs[candidate->dir], candidate->name) < 0) {
			path = NULL;
			loader->checker.no_memory = true;
			break;
		}
		load_file(loader, path);
	}
	free(candidates.all);
}

static void complain_hidden(
	const struct policy_rule *rule, const struct policy_rule *by, void *userdata)
{
	struct checker *checker = userdata;
	struct place place = { .line = rule->line, .column = rule->column };

	report_add(&checker->report, POLICY_WARNING, rule->file_number, rule->file, &place,
		"rule \"%s\" can never be reached: rule \"%s\" (%s:%u) comes first and matches all "
		"that "
		"it matches",
		rule->name, by->name, by->file, by->line);
}

/* The second half of a load: what can be said only of all files together. */
static int finish(struct loader *loader, struct policy **ret, struct policy_report *report)
{
	struct checker *checker = &loader->checker;
	struct policy *policy = checker->policy;
	bool bad = checker->report.n_errors > 0;
	int r = checker->no_memory ? -ENOMEM : 0;

	/* Rules with errors are half read and not to be looked at any more. */
	if (r == 0 && !bad)
		r = index_build(&policy->index, policy->rules, policy->n_rules);
	if (r == 0 && !bad && !shadow_find(policy, complain_hidden, checker))
		complain_file(loader, POLICY_NOTE, policy->rules[0].file,
			"there are too many rules alike to look for all that can never be reached");
	if (r == 0)
		r = report_finish(&checker->report, report);
	if (r == 0 && bad)
		r = -EBADMSG;
	if (r == 0)
		*ret = policy_ref(policy);
	return r;
}

static int load(const char *const *paths, size_t n_paths, bool are_dirs, struct policy **ret,
	struct policy_report *report)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	struct loader loader = { .is_installed = are_dirs };
	int r = -ENOMEM;

	*report = (struct policy_report){ 0 };
	if (!policy)
		return -ENOMEM;
	atomic_init(&policy->references, 1);
	if (checker_init(&loader.checker, policy) == 0) {
		if (are_dirs)
			load_dirs(&loader, paths, n_paths);
		else
			for (size_t i = 0; i < n_paths; i++)
				load_file(&loader, paths[i]);
		r = finish(&loader, ret, report);
	}
	checker_done(&loader.checker);
	policy_unref(policy);
	return r;
}

int policy_load(
	const char *const *dirs, size_t n_dirs, struct policy **ret, struct policy_report *report)
{
	return load(dirs, n_dirs, true, ret, report);
}

int policy_load_files(
	const char *const *files, size_t n_files, struct policy **ret, struct policy_report *report)
{
	return load(files, n_files, false, ret, report);
}
