#ifndef REMORA_PROXY_MAIN_WORKER_H_
#define REMORA_PROXY_MAIN_WORKER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "proxy/base/loop.h"
#include "proxy/base/mailbox.h"
#include "proxy/base/stats.h"
#include "proxy/main/drain.h"
#include "proxy/main/published.h"
#include "proxy/main/worker_listener.h"
#include "proxy/stream/http_worker.h"
#include "proxy/stream/log_file.h"
#include "proxy/upstream/worker_view.h"

namespace remora::proxy {

// What the work under way on one loop comes to; for a drain that waits for quiet.
struct WorkerLoad {
  size_t connections = 0;
  size_t exchanges = 0;
  uint64_t accepted = 0;  // since the start
};

struct WorkerInput {
  size_t index = 0;
  uint64_t seed = 0;
  StatSlab* stats = nullptr;
  StatScope<FileStat> file_stats;
  int64_t log_flush_ms = 10000;
  // Whether health checks are to fail; outlives the worker.
  const std::atomic<bool>* failing = nullptr;
  // Called on the worker's thread; they write letters to main.
  WorkerView::Mail mail;
  std::function<void(std::shared_ptr<const Published>)> retired;
};

// One thread and its loop, with everything that lives on it. Main talks to it by letters only.
//
// Threads: made and joined by main; the methods marked "any thread" send a letter.
class Worker {
 public:
  explicit Worker(WorkerInput input);
  // Joins.
  ~Worker();

  void Start();
  // Any thread: the next state to serve by.
  void Install(std::shared_ptr<const Published> published, Drain listener_drain);
  // Any thread: asks every peer to go from now on; new connections are still served.
  void StartDrain(Drain drain);
  // Any thread: accepts no more on the listeners that `inbound_only` leaves.
  void StopListening(bool inbound_only);
  // Any thread: `answer` is called on the worker's thread.
  void ReportLoad(std::function<void(WorkerLoad)> answer);
  void ReopenLogs();
  // Any thread: ends everything and the thread.
  void Stop();
  void Join();

 private:
  void Run();
  void DoInstall(std::shared_ptr<const Published> published, const Drain& drain);
  void UpdateListeners(const Published& published, const Drain& drain);
  void DropEnded();
  WorkerLoad Load() const;

  WorkerInput input_;
  Loop loop_;
  Mailbox mailbox_;
  std::unique_ptr<LogWriter> logs_;
  std::unique_ptr<WorkerView> view_;
  std::unique_ptr<HttpWorker> http_;
  ListenerWorld world_;
  uint64_t accepted_ = 0;
  Drain server_drain_;
  std::shared_ptr<const Published> published_;
  std::vector<std::unique_ptr<WorkerListener>> listeners_;
  std::vector<std::unique_ptr<WorkerListener>> removed_;
  std::thread thread_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_WORKER_H_
