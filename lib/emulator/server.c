/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sockets and connections; see server.h. */
#include "emulator/server-internal.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "emulator/trace.h"
#include "util/util.h"

#define SEND_BUFFER     (1 << 20) /* as far as the kernel allows: a few hundred packets */
#define ACCEPT_PAUSE_US 100000    /* when descriptors have run out */

static const struct timeval at_once;

/* ---- what the emulator asks for ---- */

static bool ops_take(void *userdata, uint16_t vmid, const uint8_t *packet, size_t size)
{
	struct server *server = userdata;
	struct connection *link = server->links[vmid];

	if (server->held[vmid] && server->drain_left == 0)
		return false;
	if (!link) {
		if (server->options.auto_accept)
			guest_take(server, vmid, packet, size);
	} else if (send(link->fd, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
		   (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) {
		event_add(link->writable, NULL);
		return false;
	}
	if (server->held[vmid])
		server->drain_left--;
	return true;
}

static void ops_message(void *userdata _unused_, enum emulator_event event, uint16_t vmid,
	const struct ghrm_message *message)
{
	trace_message(stderr, event, vmid, message);
}

static void ops_vm_reset(void *userdata, uint16_t vmid)
{
	guest_forget(userdata, vmid);
}

static void ops_vm_gone(void *userdata, uint16_t vmid)
{
	struct server *server = userdata;

	if (server->links[vmid]) {
		/* The connection may be the one that is being served: closed later, by its end. */
		shutdown(server->links[vmid]->fd, SHUT_RDWR);
		server->links[vmid]->kind = CONNECTION_GONE;
		server->links[vmid] = NULL;
	}
	server->held[vmid] = false;
	guest_forget(server, vmid);
}

static void ops_log(void *userdata _unused_, const char *line)
{
	fprintf(stderr, "ghrm-emulator: %s\n", line);
}

static int server_power_on(struct server *server)
{
	struct emulator_ops ops = { .take = ops_take,
		.message = server->options.trace ? ops_message : NULL,
		.refuse = faults_refuse,
		.withhold = faults_withhold,
		.vm_reset = ops_vm_reset,
		.vm_gone = ops_vm_gone,
		.log = server->options.quiet ? NULL : ops_log };

	return emulator_new(
		&server->emulator, server->machine, server->options.strict, &ops, server);
}

/* ---- connections ---- */

void connection_close(struct connection *connection)
{
	struct server *server = connection->server;

	if (connection->kind == CONNECTION_VM) {
		server->links[connection->vmid] = NULL;
		emulator_discard(server->emulator, connection->vmid);
	}
	TAILQ_REMOVE(&server->connections, connection, entry);
	if (connection->readable)
		event_free(connection->readable);
	if (connection->writable)
		event_free(connection->writable);
	util_close(connection->fd);
	free(connection);
}

/* Makes the connection a VM's link; false when the VM is unknown or has one. */
static bool connection_become_link(struct connection *connection, uint16_t vmid)
{
	struct server *server = connection->server;

	if (!emulator_vm_exists(server->emulator, vmid) || server->links[vmid])
		return false;
	connection->kind = CONNECTION_VM;
	connection->vmid = vmid;
	emulator_discard(server->emulator, vmid);
	guest_forget(server, vmid);
	server->links[vmid] = connection;
	return true;
}

static bool connection_hello(struct connection *connection, const uint8_t *data, size_t size)
{
	uint16_t vmid;

	if (size != 2)
		return false;
	vmid = util_get_le16(data);
	if (vmid == VMID_CONTROL) {
		connection->kind = CONNECTION_CONTROL;
		return true;
	}
	return connection_become_link(connection, vmid);
}

/* Returns false when the connection is to be closed. */
static bool connection_command(struct connection *connection, char *data, size_t size)
{
	struct server *server = connection->server;
	_cleanup_free_ char *answer = NULL;
	bool leave = false;

	data[size] = '\0';
	data[strcspn(data, "\n")] = '\0';
	server_barrier(server);
	answer = control_execute(server, data, &leave);
	if (!answer)
		return false;
	if (!server->died &&
		send(connection->fd, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return false;
	if (leave)
		event_base_loopbreak(server->base);
	return true;
}

/* Whether a datagram of no bytes was the end of the connection. */
static bool connection_ended(const struct connection *connection)
{
	struct pollfd poll_fd = { .fd = connection->fd, .events = POLLRDHUP };
	int pending = 0;

	if (ioctl(connection->fd, SIOCINQ, &pending) == 0 && pending > 0)
		return false;
	return poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

/* One datagram: 1 when there was one, 0 when there is none, -1 when the connection is to be closed. */
static int connection_receive(struct connection *connection, size_t *ret_size)
{
	struct server *server = connection->server;
	uint8_t data[CONTROL_SIZE_MAX + 1];
	ssize_t n;
	size_t size;

	*ret_size = 0;
	if (connection->kind == CONNECTION_GONE)
		return -1;
	n = recv(connection->fd, data, CONTROL_SIZE_MAX, MSG_DONTWAIT | MSG_TRUNC);
	size = n > 0 ? (size_t)n : 0;
	*ret_size = size;
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
	if (n == 0)
		return connection_ended(connection) ? -1 : 1;
	switch (connection->kind) {
	case CONNECTION_NEW: return connection_hello(connection, data, size) ? 1 : -1;
	case CONNECTION_VM:
		if (size <= GHRM_PACKET_MAX)
			emulator_feed(server->emulator, connection->vmid, data, size);
		return 1;
	case CONNECTION_CONTROL:
		if (size > CONTROL_SIZE_MAX)
			return -1;
		return connection_command(connection, (char *)data, size) ? 1 : -1;
	case CONNECTION_GONE: break;
	}
	return -1;
}

/*
 * Serves what has arrived so far, but no more, so that a client that never stops sending leaves the
 * others their turns. Returns false when the connection was closed.
 */
static bool connection_serve(struct connection *connection)
{
	struct server *server = connection->server;
	size_t have = 0, size;
	int pending = 0, r;

	if (ioctl(connection->fd, SIOCINQ, &pending) < 0 || pending < 0)
		pending = 0;
	do {
		r = connection_receive(connection, &size);
		have += size;
		if (server->died)
			return true;
	} while (r > 0 && have < (size_t)pending);
	if (r < 0) {
		connection_close(connection);
		return false;
	}
	return true;
}

static void on_readable(evutil_socket_t fd _unused_, short events _unused_, void *userdata)
{
	struct connection *connection = userdata;
	struct server *server = connection->server;

	connection_serve(connection);
	server_settle(server);
}

static void on_writable(evutil_socket_t fd _unused_, short events _unused_, void *userdata)
{
	struct connection *connection = userdata;

	if (connection->kind == CONNECTION_VM)
		emulator_drain(connection->server->emulator, connection->vmid, SIZE_MAX);
}

static struct connection *connection_new(struct server *server, int fd)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int buffer = SEND_BUFFER;

	if (!connection) {
		util_close(fd);
		return NULL;
	}
	connection->server = server;
	connection->fd = fd;
	TAILQ_INSERT_TAIL(&server->connections, connection, entry);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	connection->readable =
		event_new(server->base, fd, EV_READ | EV_PERSIST, on_readable, connection);
	connection->writable = event_new(server->base, fd, EV_WRITE, on_writable, connection);
	if (!connection->readable || !connection->writable ||
		event_add(connection->readable, NULL) < 0) {
		connection_close(connection);
		return NULL;
	}
	return connection;
}

int server_attach(struct server *server, int fd, uint16_t vmid)
{
	struct connection *connection;
	int r = util_set_nonblock(fd);

	if (r < 0) {
		util_close(fd);
		return r;
	}
	connection = connection_new(server, fd);
	if (!connection)
		return -ENOMEM;
	if (!connection_become_link(connection, vmid)) {
		connection_close(connection);
		return -EBUSY;
	}
	return 0;
}

/* ---- the listening socket ---- */

static void accept_all(struct server *server)
{
	static const struct timeval pause = { .tv_usec = ACCEPT_PAUSE_US };

	while (server->listener >= 0) {
		int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			connection_new(server, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			event_del(server->acceptable);
			event_add(server->accept_again, &pause);
		}
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static void on_acceptable(evutil_socket_t fd _unused_, short events _unused_, void *userdata)
{
	accept_all(userdata);
}

static void on_accept_again(evutil_socket_t fd _unused_, short events _unused_, void *userdata)
{
	struct server *server = userdata;

	event_add(server->acceptable, NULL);
}

/* A socket file that nobody listens on is left over from a crash. */
static int remove_stale(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(address->sun_path) < 0 ? -errno : 0;
}

static int server_bind(struct server *server, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	r = remove_stale(&address);
	if (r < 0)
		return r;
	server->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->listener < 0)
		return -errno;
	if (bind(server->listener, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	server->path = strdup(path);
	if (!server->path)
		return -ENOMEM;
	if (stat(path, &st) < 0 || listen(server->listener, SOMAXCONN) < 0)
		return -errno;
	server->path_device = st.st_dev;
	server->path_inode = st.st_ino;
	return 0;
}

int server_listen(struct server *server, const char *path)
{
	int r = server_bind(server, path);

	if (r < 0)
		return r;
	server->acceptable = event_new(
		server->base, server->listener, EV_READ | EV_PERSIST, on_acceptable, server);
	server->accept_again = event_new(server->base, -1, 0, on_accept_again, server);
	if (!server->acceptable || !server->accept_again || event_add(server->acceptable, NULL) < 0)
		return -ENOMEM;
	return 0;
}

/* ---- the server ---- */

void server_settle(struct server *server)
{
	while (guests_run(server))
		;
	if (emulator_dead(server->emulator) && !server->died) {
		server->died = true;
		event_base_loopbreak(server->base);
		return;
	}
	if (emulator_busy(server->emulator))
		event_add(server->step, &at_once);
}

static void on_step(evutil_socket_t fd _unused_, short events _unused_, void *userdata)
{
	struct server *server = userdata;

	if (emulator_step(server->emulator))
		server_settle(server);
}

void server_barrier(struct server *server)
{
	struct connection *connection, *next;
	size_t size;

	/* Of a new connection only the first datagram is read: a command would come back here. */
	accept_all(server);
	TAILQ_FOREACH_SAFE (connection, &server->connections, entry, next)
		if (connection->kind == CONNECTION_NEW && connection_receive(connection, &size) < 0)
			connection_close(connection);
	for (size_t vmid = 0; vmid < MACHINE_VMIDS && !server->died; vmid++)
		if (server->links[vmid])
			connection_serve(server->links[vmid]);
	do {
		while (guests_run(server))
			;
	} while (emulator_step(server->emulator));
	server_settle(server);
}

int server_restart(struct server *server)
{
	for (size_t vmid = 0; vmid < MACHINE_VMIDS; vmid++) {
		if (server->links[vmid])
			connection_close(server->links[vmid]);
		server->held[vmid] = false;
		guest_forget(server, (uint16_t)vmid);
	}
	faults_forget_delayed(server);
	server->emulator = emulator_free(server->emulator);
	return server_power_on(server);
}

int server_new(struct server **ret, struct event_base *base, const struct machine *machine,
	const struct server_options *options)
{
	struct server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	server->base = base;
	server->machine = machine;
	server->options = *options;
	server->listener = -1;
	TAILQ_INIT(&server->connections);
	TAILQ_INIT(&server->faults.failures);
	TAILQ_INIT(&server->faults.delayed);
	server->step = event_new(base, -1, 0, on_step, server);
	r = server->step ? faults_init(server) : -ENOMEM;
	if (r == 0)
		r = server_power_on(server);
	if (r < 0) {
		server_free(server);
		return r;
	}
	*ret = server;
	return 0;
}

static void remove_own_socket(struct server *server)
{
	struct stat st;

	if (server->path_inode != 0 && stat(server->path, &st) == 0 &&
		st.st_dev == server->path_device && st.st_ino == server->path_inode)
		unlink(server->path);
}

struct server *server_free(struct server *server)
{
	struct connection *connection;

	if (!server)
		return NULL;
	remove_own_socket(server);
	while ((connection = TAILQ_FIRST(&server->connections)))
		connection_close(connection);
	if (server->acceptable)
		event_free(server->acceptable);
	if (server->accept_again)
		event_free(server->accept_again);
	if (server->step)
		event_free(server->step);
	util_close(server->listener);
	faults_done(server);
	for (size_t vmid = 0; vmid < MACHINE_VMIDS; vmid++)
		guest_forget(server, (uint16_t)vmid);
	emulator_free(server->emulator);
	free(server->path);
	free(server);
	return NULL;
}

bool server_died(const struct server *server)
{
	return server->died;
}
