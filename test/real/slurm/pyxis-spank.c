/*
 * A stand-in for pyxis, SLURM's container plugin, for tests: it takes the same options of srun, refuses what pyxis
 * refuses, and shows each task what it was given. There is no image: a task runs on the node's own files.
 *
 *   gcc -std=gnu11 -Wall -Wextra -shared -fPIC -o spank_pyxis.so pyxis-spank.c     (Debian: libslurm-dev)
 *   plugstack.conf:  required /path/spank_pyxis.so [ARGUMENT ...]
 *
 * Arguments:
 *   bind=FOLDER      mounts are made, each task in a mount namespace of its own (the daemons must be root). The
 *                    rest of the node's files stays visible and writable; a task starts in / or --container-workdir.
 *                    FOLDER is an empty one, to build on; nothing is ever written to it on the node
 *   fail_image=TEXT  an image with TEXT in its name cannot be imported
 *   import_ms=N      an import takes so long
 *
 * A task of a step with --container-image or --container-name has PYXIS_STANDIN_IMAGE, _MOUNTS, _ENV, _NAME,
 * _WORKDIR, _SAVE and _UNSHARE as given, and _MOUNT_HOME, _REMAP_ROOT, _ENTRYPOINT, _ENTRYPOINT_LOG and _WRITABLE
 * as 1 or 0; what was not given is not set. An entry NAME=value of --container-env gives NAME a broken value, as
 * pyxis does: it is taken for a name, and ends up in a line of shell as ${NAME=value}.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <slurm/spank.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

SPANK_PLUGIN(pyxis, 1)

enum { IMAGE, MOUNTS, ENV, NAME, WORKDIR, SAVE, UNSHARE, MOUNT_HOME, REMAP_ROOT, ENTRYPOINT, ENTRYPOINT_LOG, WRITABLE, KINDS };
static const char *const names[KINDS] = {
	"IMAGE", "MOUNTS", "ENV", "NAME", "WORKDIR", "SAVE", "UNSHARE",
	"MOUNT_HOME", "REMAP_ROOT", "ENTRYPOINT", "ENTRYPOINT_LOG", "WRITABLE",
};
static char *given[KINDS];	/* flags are "1" or "0"; NULL: not given */
static const char *fail_image, *stage;
static int import_ms;
static char failure[1024];	/* why the step cannot run, found before the task may say so */

static int refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int refuse(const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	slurm_error("pyxis: %s", text);
	return -1;
}

/* ---- options: a refusal here ends srun with 255 before anything is launched ---- */

/* Cuts SOURCE[:TARGET[:FLAGS]] in place. */
static void cut_mount(char *entry, char **target, char **flags)
{
	*target = strchr(entry, ':');
	*flags = NULL;
	if (*target) {
		*(*target)++ = '\0';
		if ((*flags = strchr(*target, ':')))
			*(*flags)++ = '\0';
	} else {
		*target = entry;
	}
}

static int check_entry(int kind, char *entry, const char *whole)
{
	char *target, *flags;

	if (kind == UNSHARE)
		return !strcmp(entry, "net") || !strcmp(entry, "ipc") || !strcmp(entry, "uts")
			? 0 : refuse("--container-unshare: unknown namespace '%s'", entry);
	if (kind == ENV)
		return *entry ? 0 : refuse("--container-env: invalid format: %s", whole);
	cut_mount(entry, &target, &flags);
	if (!*entry || !*target || (flags && !*flags))
		return refuse("--container-mounts: invalid format: %s", whole);
	if (*entry != '/' && *entry != '.' && strcmp(entry, "tmpfs") && strcmp(entry, "umount"))
		return refuse("mount source must be a relative path, an absolute path, \"tmpfs\" or \"umount\": %s", entry);
	if (*target != '/' && *target != '.')
		return refuse("mount target must be a relative path or an absolute path: %s", target);
	return 0;
}

static int take_text(int kind, const char *text, int remote)
{
	(void)remote;
	if (!text || !*text)
		return refuse("a container option needs an argument: %s", names[kind]);
	if (kind == MOUNTS || kind == ENV || kind == UNSHARE) {
		char *copy = strdup(text), *rest = copy, *entry;
		int wrong = 0;
		while (!wrong && (entry = strsep(&rest, ",")))
			wrong = check_entry(kind, entry, text);
		free(copy);
		if (wrong)
			return -1;
	} else if (given[kind] && strcmp(given[kind], text)) {
		return refuse("a container option was specified multiple times: %s", names[kind]);
	}
	free(given[kind]);
	given[kind] = strdup(text);
	return 0;
}

/* Both forms of a flag come here: the kind shifted left, with the value in the lowest bit. */
static int take_flag(int value, const char *none, int remote)
{
	const char *text = value & 1 ? "1" : "0";
	(void)none, (void)remote;
	if (given[value >> 1] && strcmp(given[value >> 1], text))
		return refuse("both forms of a container option were specified: %s", names[value >> 1]);
	free(given[value >> 1]);
	given[value >> 1] = strdup(text);
	return 0;
}

#define TEXT(name, form, kind) { "container-" name, form, "[pyxis stand-in] " form, 1, kind, take_text }
#define FLAG(name, kind, on) { name, NULL, "[pyxis stand-in] " #kind, 0, (kind) << 1 | (on), take_flag }
struct spank_option spank_options[] = {
	TEXT("image", "[USER@][REGISTRY#]IMAGE[:TAG]|PATH", IMAGE),
	TEXT("mounts", "SRC:DST[:FLAGS][,SRC:DST...]", MOUNTS),
	TEXT("env", "NAME[,NAME...]", ENV),
	TEXT("name", "NAME", NAME),
	TEXT("workdir", "PATH", WORKDIR),
	TEXT("save", "PATH", SAVE),
	TEXT("unshare", "NS[,NS...]", UNSHARE),
	FLAG("container-mount-home", MOUNT_HOME, 1), FLAG("no-container-mount-home", MOUNT_HOME, 0),
	FLAG("container-remap-root", REMAP_ROOT, 1), FLAG("no-container-remap-root", REMAP_ROOT, 0),
	FLAG("container-entrypoint", ENTRYPOINT, 1), FLAG("no-container-entrypoint", ENTRYPOINT, 0),
	FLAG("container-entrypoint-log", ENTRYPOINT_LOG, 1),
	FLAG("container-writable", WRITABLE, 1), FLAG("container-readonly", WRITABLE, 0),
	SPANK_OPTIONS_TABLE_END
};

int slurm_spank_init(spank_t spank, int count, char **arguments)
{
	(void)spank;
	for (int i = 0; i < count; i++) {
		if (!strncmp(arguments[i], "bind=", 5))
			stage = arguments[i] + 5;
		else if (!strncmp(arguments[i], "fail_image=", 11))
			fail_image = arguments[i] + 11;
		else if (!strncmp(arguments[i], "import_ms=", 10))
			import_ms = atoi(arguments[i] + 10);
		else
			return refuse("the stand-in knows no argument %s", arguments[i]);
	}
	return 0;
}

/* ---- mounts ---- */

/* Binds every entry of the folder `from` into the empty folder `to`. */
static void copy_entries(int from, const char *to)
{
	DIR *folder = fdopendir(dup(from));
	char path[4200], source[64], link[4096];
	struct stat about;
	ssize_t length;

	for (struct dirent *entry; folder && (entry = readdir(folder)); ) {
		const char *name = entry->d_name;
		int fd = openat(from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		snprintf(path, sizeof(path), "%s/%s", to, name);
		snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
		if (!strcmp(name, ".") || !strcmp(name, "..") || fd < 0 || fstat(fd, &about))
			;
		else if (S_ISLNK(about.st_mode) && (length = readlinkat(from, name, link, sizeof(link) - 1)) >= 0)
			link[length] = '\0', length = symlink(link, path);
		else if (!(S_ISDIR(about.st_mode) ? mkdir(path, 0755) : mknod(path, S_IFREG | 0644, 0)))
			mount(source, path, NULL, MS_BIND | MS_REC, NULL);
		if (fd >= 0)
			close(fd);
	}
	if (folder)
		closedir(folder);
}

static dev_t in_memory[32];	/* file systems that stand in for folders of the node */
static int in_memory_count;

/* Makes it possible to make files in `path` that the node never sees: a folder in memory, with the same entries, takes
 * its place. Returns 0 or -1 with errno. */
static int shadow(const char *path)
{
	int top = !*path, folder = open(top ? "/" : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *place = top ? stage : path;
	struct stat about;

	if (folder < 0 || fstat(folder, &about))
		return -1;
	for (int i = 0; i < in_memory_count; i++)
		if (in_memory[i] == about.st_dev)
			return close(folder);
	if (in_memory_count == 32 || mount("tmpfs", place, "tmpfs", 0, "mode=0755") || stat(place, &about))
		return -1;
	in_memory[in_memory_count++] = about.st_dev;
	copy_entries(folder, place);
	close(folder);
	return top ? chroot(stage) || chdir("/") : 0;
}

/* Makes the folder or file `path` to mount on, with the folders above it, where it is missing. */
static int make_point(char *path, int folder)
{
	struct stat about;

	for (char *slash = path; slash; slash = strchr(slash + 1, '/')) {
		char *end = strchr(slash + 1, '/');
		int made = 0;
		if (!slash[1] || slash[1] == '/')
			continue;
		if (end)
			*end = '\0';
		if (stat(path, &about)) {
			*slash = '\0';
			made = shadow(path);
			*slash = '/';
			made = made ? made : end || folder ? mkdir(path, 0755) : mknod(path, S_IFREG | 0644, 0);
		}
		if (end)
			*end = '/';
		if (made)
			return -1;
	}
	return 0;
}

#define FAIL(...) return (void)snprintf(failure, sizeof(failure), __VA_ARGS__)

static void make_mounts(void)
{
	struct { int fd, folder, read_only; char *source, *target; } mounts[64];
	char *rest = strdup(given[MOUNTS]), *entry, *flags, path[64];
	struct stat about;
	int count = 0;

	if (stage && (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)))
		FAIL("no mount namespace: %s", strerror(errno));
	/* All sources first: a mount may cover the next one's. */
	while ((entry = strsep(&rest, ",")) && count < 64) {
		cut_mount(entry, &mounts[count].target, &flags);
		mounts[count].source = entry;
		mounts[count].read_only = flags && strstr(flags, "ro");
		mounts[count].fd = -1;
		mounts[count].folder = 1;
		if (!strcmp(entry, "umount"))
			continue;
		if (strcmp(entry, "tmpfs")) {
			mounts[count].fd = open(entry, O_PATH | O_CLOEXEC);
			if (mounts[count].fd < 0 || fstat(mounts[count].fd, &about))
				FAIL("--container-mounts: source path does not exist: %.900s", entry);
			mounts[count].folder = S_ISDIR(about.st_mode);
		}
		count++;
	}
	for (int i = 0; stage && i < count; i++) {
		char *target = strdup(mounts[i].target);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", mounts[i].fd);
		if (make_point(target, mounts[i].folder)
		    || (mounts[i].fd < 0 ? mount("tmpfs", target, "tmpfs", 0, "mode=1777")
					 : mount(path, target, NULL, MS_BIND | MS_REC, NULL))
		    || (mounts[i].read_only && mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL)))
			FAIL("could not mount %.400s at %.400s: %s", mounts[i].source, target, strerror(errno));
		free(target);
	}
}

/* ---- a task: first as root, then as its user just before the program ---- */

static int container(void) { return given[IMAGE] || given[NAME]; }

int slurm_spank_task_init_privileged(spank_t spank, int count, char **arguments)
{
	(void)spank, (void)count, (void)arguments;
	if (container() && given[MOUNTS])
		make_mounts();
	if (given[IMAGE] && strchr("/.", *given[IMAGE]) && access(given[IMAGE], F_OK))
		snprintf(failure, sizeof(failure), "failed to create container filesystem from image: %.900s", given[IMAGE]);
	return 0;
}

/* What becomes of NAME=value among the names of --container-env: a function in bash is made of it, with the line
 * [ -n "${NAME=value-}" ] && echo "NAME=value=${NAME=value}", and its output is read as KEY=VALUE. */
static void break_values(spank_t spank)
{
	char *rest = strdup(given[ENV]), *entry, *value, old[16384], broken[32768];

	while ((entry = strsep(&rest, ","))) {
		if (!(value = strchr(entry, '=')))
			continue;
		*value++ = '\0';
		if (spank_getenv(spank, entry, old, sizeof(old)) != ESPANK_SUCCESS)
			snprintf(old, sizeof(old), "%s-", value);
		snprintf(broken, sizeof(broken), "%s=%s", value, old);
		if (*old)
			spank_setenv(spank, entry, broken, 1);
	}
}

int slurm_spank_task_init(spank_t spank, int count, char **arguments)
{
	const char *image = given[IMAGE], *folder = given[WORKDIR];
	char variable[64];
	int first = 0, tasks = 0;

	(void)count, (void)arguments;
	if (!container())
		return 0;
	spank_get_item(spank, S_TASK_ID, &first);
	spank_get_item(spank, S_JOB_TOTAL_TASK_COUNT, &tasks);
	first = !first;
	if (image && !strchr("/.", *image)) {
		if (first && tasks == 1)
			slurm_spank_log("pyxis: importing docker image: %s", image);
		usleep(import_ms * 1000);
		if (first && !(fail_image && strstr(image, fail_image)))
			slurm_spank_log("pyxis: imported docker image: %s", image);
	}
	if (image && fail_image && strstr(image, fail_image)) {
		if (first)
			slurm_error("pyxis: failed to import docker image: %s", image);
		if (first)
			slurm_error("pyxis: printing enroot log file:");
		return first ? refuse("    [ERROR] URL https://registry.invalid/v2/ returned error code: 401 Unauthorized") : -1;
	}
	if (*failure)
		return first ? refuse("%s", failure) : -1;
	if (given[ENV])
		break_values(spank);
	for (int kind = 0; kind < KINDS; kind++) {
		snprintf(variable, sizeof(variable), "PYXIS_STANDIN_%s", names[kind]);
		if (given[kind])
			spank_setenv(spank, variable, given[kind], 1);
	}
	if (!folder && stage)
		folder = "/";
	return folder && chdir(folder) ? refuse("couldn't chdir to %s: %s", folder, strerror(errno)) : 0;
}
