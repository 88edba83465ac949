#ifndef REMORA_PROXY_MAIN_SIGNALS_H_
#define REMORA_PROXY_MAIN_SIGNALS_H_

#include <functional>
#include <memory>
#include <vector>

#include "proxy/base/loop.h"

struct uv_signal_s;

namespace remora::proxy {

// SIGTERM and SIGINT ask the process to leave, SIGUSR1 to reopen its logs, SIGHUP and SIGPIPE are
// ignored. Main loop.
class Signals {
 public:
  struct Hooks {
    std::function<void()> leave;
    std::function<void()> reopen_logs;
  };
  Signals(Loop* loop, Hooks hooks);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  void Watch(int number);
  void OnSignal(int number);

  Loop* loop_;
  Hooks hooks_;
  std::vector<uv_signal_s*> watched_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_SIGNALS_H_
