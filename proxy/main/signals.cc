#include "proxy/main/signals.h"

#include <signal.h>
#include <uv.h>

#include <utility>

namespace remora::proxy {

Signals::Signals(Loop* loop, Hooks hooks) : loop_(loop), hooks_(std::move(hooks)) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  for (int number : {SIGTERM, SIGINT, SIGUSR1}) Watch(number);
}

Signals::~Signals() {
  for (uv_signal_t* watch : watched_) {
    uv_close(reinterpret_cast<uv_handle_t*>(watch),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_signal_t*>(handle); });
  }
}

void Signals::Watch(int number) {
  auto* watch = new uv_signal_t;
  uv_signal_init(loop_->uv(), watch);
  watch->data = this;
  uv_signal_start(
      watch,
      [](uv_signal_t* handle, int signal_number) {
        static_cast<Signals*>(handle->data)->OnSignal(signal_number);
      },
      number);
  watched_.push_back(watch);
}

void Signals::OnSignal(int number) {
  if (number == SIGUSR1) {
    hooks_.reopen_logs();
  } else {
    hooks_.leave();
  }
}

}  // namespace remora::proxy
