/* The receiver as a Node-API addon: one per environment. Instants are ms of CLOCK_MONOTONIC. */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <netdb.h>
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receiver.h"

struct instance {
  rx_t *rx;
  napi_threadsafe_function drain;
  napi_ref ring, control;
};

static napi_value fail(napi_env env, const char *what, int error) {
  char code[16];
  snprintf(code, sizeof code, "%d", error);
  napi_throw_error(env, code, what);
  return NULL;
}

static struct instance *instance_of(napi_env env) {
  void *data = NULL;
  napi_get_instance_data(env, &data);
  return data;
}

static rx_t *arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  size_t given = count;
  napi_get_cb_info(env, info, &given, values, NULL, NULL);
  rx_t *rx = instance_of(env)->rx;
  if (rx == NULL) fail(env, "the receiver is not running", 0);
  else if (given < count) fail(env, "an argument is missing", 0);
  else return rx;
  return NULL;
}

static napi_value number(napi_env env, double value) {
  napi_value result = NULL;
  napi_create_double(env, value, &result);
  return result;
}

static uint32_t handle_of(napi_env env, napi_value value) {
  uint32_t handle = 0;
  napi_get_value_uint32(env, value, &handle);
  return handle;
}

static void wake(void *context) {
  struct instance *one = context;
  napi_call_threadsafe_function(one->drain, NULL, napi_tsfn_nonblocking);
}

static void call_drain(napi_env env, napi_value callback, void *context, void *data) {
  struct instance *one = context;
  (void)data;
  if (env == NULL || one->rx == NULL) return;
  rx_draining(one->rx);
  napi_value undefined;
  napi_get_undefined(env, &undefined);
  napi_call_function(env, undefined, callback, 0, NULL, NULL);
}

/* The environment ends: the thread must be gone before its way of waking is. */
static void clean_up(void *data) {
  struct instance *one = data;
  rx_free(one->rx);
  one->rx = NULL;
}

static void stop(napi_env env, struct instance *one) {
  if (one->rx == NULL) return;
  napi_remove_env_cleanup_hook(env, clean_up, one);
  /* The views outlive their memory unless they are emptied. */
  napi_ref *views[] = {&one->ring, &one->control};
  for (int i = 0; i < 2; i++) {
    napi_value view;
    if (napi_get_reference_value(env, *views[i], &view) == napi_ok && view != NULL) napi_detach_arraybuffer(env, view);
    napi_delete_reference(env, *views[i]);
  }
  rx_free(one->rx);
  one->rx = NULL;
  napi_release_threadsafe_function(one->drain, napi_tsfn_abort);
}

/* start(ringBytes, drain) -> [ring, control]: ArrayBuffers that live until `stop`. */
static napi_value start(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value values[2], name, result, view;
  struct instance *one = instance_of(env);
  rx_options options = {.wake = wake, .context = one};
  napi_get_cb_info(env, info, &count, values, NULL, NULL);
  if (one->rx != NULL) return fail(env, "the receiver is running already", 0);
  if (count < 2 || napi_get_value_uint32(env, values[0], &options.ring_bytes) != napi_ok)
    return fail(env, "an argument is missing", 0);
  napi_create_string_utf8(env, "bench-receiver", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, values[1], NULL, name, 0, 1, NULL, NULL, one, call_drain, &one->drain) !=
      napi_ok)
    return fail(env, "no callback", 0);
  one->rx = rx_new(&options);
  if (one->rx == NULL) {
    napi_release_threadsafe_function(one->drain, napi_tsfn_abort);
    return fail(env, "the system refuses a thread, memory or a descriptor", 0);
  }
  /* Hooks run last in, first out: before that of the callback. */
  napi_add_env_cleanup_hook(env, clean_up, one);
  napi_create_array_with_length(env, 2, &result);
  napi_create_external_arraybuffer(env, rx_ring(one->rx), options.ring_bytes, NULL, NULL, &view);
  napi_create_reference(env, view, 1, &one->ring);
  napi_set_element(env, result, 0, view);
  napi_create_external_arraybuffer(env, rx_shared(one->rx), sizeof(rx_control), NULL, NULL, &view);
  napi_create_reference(env, view, 1, &one->control);
  napi_set_element(env, result, 1, view);
  return result;
}

static napi_value stop_now(napi_env env, napi_callback_info info) {
  (void)info;
  stop(env, instance_of(env));
  return NULL;
}

typedef int64_t (*opener)(rx_t *, const struct sockaddr *, socklen_t);

/* (address in digits, port) -> handle, or -errno. */
static napi_value open_with(napi_env env, napi_callback_info info, opener open) {
  napi_value values[2];
  rx_t *rx = arguments(env, info, 2, values);
  if (rx == NULL) return NULL;
  char host[128], port[16];
  size_t length;
  uint32_t number_of_port = 0;
  napi_get_value_string_utf8(env, values[0], host, sizeof host, &length);
  napi_get_value_uint32(env, values[1], &number_of_port);
  snprintf(port, sizeof port, "%u", number_of_port);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found = NULL;
  if (getaddrinfo(host, port, &hints, &found) != 0 || found == NULL) return fail(env, "not an address in digits", 0);
  int64_t handle = open(rx, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return number(env, (double)handle);
}

static napi_value connect_to(napi_env env, napi_callback_info info) { return open_with(env, info, rx_connect); }
static napi_value listen_on(napi_env env, napi_callback_info info) { return open_with(env, info, rx_listen); }

static napi_value port(napi_env env, napi_callback_info info) {
  napi_value values[1];
  rx_t *rx = arguments(env, info, 1, values);
  return rx == NULL ? NULL : number(env, rx_port(rx, handle_of(env, values[0])));
}

/* send(handle, bytes) -> the instant just before, negative for a handle that is gone. */
static napi_value send_now(napi_env env, napi_callback_info info) {
  napi_value values[2];
  void *bytes = NULL;
  size_t length = 0;
  rx_t *rx = arguments(env, info, 2, values);
  if (rx == NULL) return NULL;
  if (napi_get_buffer_info(env, values[1], &bytes, &length) != napi_ok) return fail(env, "no bytes to send", 0);
  return number(env, rx_send(rx, handle_of(env, values[0]), bytes, length));
}

/* sendAt(handle, bytes, atMs) */
static napi_value send_at(napi_env env, napi_callback_info info) {
  napi_value values[3];
  void *bytes = NULL;
  size_t length = 0;
  double at_ms = 0;
  rx_t *rx = arguments(env, info, 3, values);
  if (rx == NULL) return NULL;
  if (napi_get_buffer_info(env, values[1], &bytes, &length) != napi_ok ||
      napi_get_value_double(env, values[2], &at_ms) != napi_ok)
    return fail(env, "no bytes or no instant", 0);
  if (rx_send_at(rx, handle_of(env, values[0]), bytes, length, at_ms) < 0) return fail(env, "no memory", 0);
  return NULL;
}

static napi_value unsent(napi_env env, napi_callback_info info) {
  napi_value values[1];
  rx_t *rx = arguments(env, info, 1, values);
  return rx == NULL ? NULL : number(env, (double)rx_unsent(rx, handle_of(env, values[0])));
}

typedef void (*ender)(rx_t *, uint32_t);

/* (handle) */
static napi_value end_with(napi_env env, napi_callback_info info, ender end) {
  napi_value values[1];
  rx_t *rx = arguments(env, info, 1, values);
  if (rx != NULL) end(rx, handle_of(env, values[0]));
  return NULL;
}

static napi_value end(napi_env env, napi_callback_info info) { return end_with(env, info, rx_end); }
static napi_value close_now(napi_env env, napi_callback_info info) { return end_with(env, info, rx_close); }
static napi_value reset(napi_env env, napi_callback_info info) { return end_with(env, info, rx_reset); }

static napi_value now(napi_env env, napi_callback_info info) {
  rx_t *rx = arguments(env, info, 0, NULL);
  return rx == NULL ? NULL : number(env, rx_now_ms(rx));
}

static void leave(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  free(data);
}

NAPI_MODULE_INIT() {
  struct instance *one = calloc(1, sizeof *one);
  if (one == NULL) return fail(env, "no memory", 0);
  napi_set_instance_data(env, one, leave, NULL);
  const napi_property_descriptor functions[] = {
      {"start", 0, start, 0, 0, 0, napi_default, 0},     {"stop", 0, stop_now, 0, 0, 0, napi_default, 0},
      {"connect", 0, connect_to, 0, 0, 0, napi_default, 0}, {"listen", 0, listen_on, 0, 0, 0, napi_default, 0},
      {"port", 0, port, 0, 0, 0, napi_default, 0},       {"send", 0, send_now, 0, 0, 0, napi_default, 0},
      {"sendAt", 0, send_at, 0, 0, 0, napi_default, 0},  {"unsent", 0, unsent, 0, 0, 0, napi_default, 0},
      {"end", 0, end, 0, 0, 0, napi_default, 0},         {"close", 0, close_now, 0, 0, 0, napi_default, 0},
      {"reset", 0, reset, 0, 0, 0, napi_default, 0},     {"now", 0, now, 0, 0, 0, napi_default, 0},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
