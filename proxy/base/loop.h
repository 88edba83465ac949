#ifndef REMORA_PROXY_BASE_LOOP_H_
#define REMORA_PROXY_BASE_LOOP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "proxy/base/graveyard.h"
#include "proxy/base/timer.h"

struct uv_loop_s;
struct uv_prepare_s;

namespace remora::proxy {

// One event loop and its turn. A turn is: libuv's callbacks (sockets, timers, mail), then the work
// queued by AtEndOfTurn (flushes, in order of queueing), then the graveyard is emptied.
//
// Threads: created anywhere, then used only by the thread that calls Run(); debug builds check.
// The main thread's loop and each worker's loop are of this class.
class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until Stop(). The calling thread becomes the loop's thread.
  void Run();
  // Runs callbacks that are ready, waiting for at least one when `wait`; for tests.
  void RunOnce(bool wait);
  // Ends Run() after this turn. Only from the loop's thread (others send mail).
  void Stop();

  uv_loop_s* uv() { return uv_.get(); }
  TimerWheel& timers() { return *timers_; }
  Graveyard& graveyard() { return graveyard_; }

  // Monotonic nanoseconds, read once a turn, when first asked for.
  int64_t now_ns() const {
    if (now_ns_ == 0) ReadClocks();
    return now_ns_;
  }
  // Reads the clock anew (after long work).
  void UpdateNow();
  // Wall clock of now_ns(), nanoseconds since the epoch.
  int64_t system_now_ns();

  // Something to be done at the end of this turn. The item is linked in, never allocated; it may be
  // queued again from inside its own run, which then happens in the same turn. Destroying an item
  // unlinks it.
  class TurnItem {
   public:
    TurnItem() = default;
    virtual ~TurnItem() { Unlink(); }
    TurnItem(const TurnItem&) = delete;
    TurnItem& operator=(const TurnItem&) = delete;
    virtual void RunAtEndOfTurn() = 0;
    bool queued() const { return prev_ != nullptr; }
    void Unlink();

   private:
    friend class Loop;
    TurnItem* prev_ = nullptr;
    TurnItem* next_ = nullptr;
  };
  void AtEndOfTurn(TurnItem* item);

  // True when called on the loop's thread (or before Run()).
  bool OnThread() const;

 private:
  class Anchor;
  void EndTurn();
  void ReadClocks() const;

  std::unique_ptr<uv_loop_s> uv_;
  std::unique_ptr<TimerWheel> timers_;
  Graveyard graveyard_;
  std::unique_ptr<Anchor> anchor_;
  std::unique_ptr<uv_prepare_s> prepare_;
  std::thread::id thread_;
  mutable int64_t now_ns_ = 0;  // 0: not read yet in this turn
  int64_t wall_offset_ns_ = 0;  // 0: likewise
  bool stopping_ = false;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_BASE_LOOP_H_
