#ifndef REMORA_PROXY_STREAM_FILTER_CHAIN_H_
#define REMORA_PROXY_STREAM_FILTER_CHAIN_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "filters/api/filter.h"
#include "proxy/base/loop.h"
#include "proxy/base/timer.h"
#include "proxy/stream/http_service.h"
#include "proxy/upstream/worker_view.h"
#include "xds/route.h"

namespace remora::proxy {

// What the chain needs of its exchange (implemented by Stream).
class FilterChainHost {
 public:
  virtual Loop& loop() = 0;
  virtual Arena& arena() = 0;
  virtual StreamInfo& info() = 0;
  virtual uint64_t random() = 0;
  virtual WorkerView& view() = 0;
  virtual Metadata& dynamic_metadata() = 0;
  virtual FilterState& filter_state() = 0;
  virtual void OverrideHost(absl::string_view address, bool strict) = 0;
  virtual const Runtime* runtime() = 0;
  virtual StatSlab& stat_slab() = 0;
  virtual bool server_failing() = 0;
  virtual absl::string_view local_cluster_name() = 0;
  virtual Headers* request_headers() = 0;
  virtual Headers* response_headers() = 0;
  // The chosen route's levels, least specific first; null where there is none.
  struct Levels {
    const xds::RouteTable* table = nullptr;
    const xds::VirtualHost* virtual_host = nullptr;
    const xds::Route* route = nullptr;
  };
  virtual Levels route_levels() = 0;
  virtual void ClearRoute() = 0;
  // Most bytes that a filter may make the chain keep, by direction.
  virtual uint64_t request_buffer_limit() = 0;
  virtual uint64_t response_buffer_limit() = 0;

  // What comes out at the far ends.
  virtual void OnChainRequestHeaders(Headers* headers, bool end) = 0;
  virtual void OnChainRequestBody(Body& body, bool end) = 0;
  virtual void OnChainRequestTrailers(Headers* trailers) = 0;
  virtual void OnChainResponseHeaders(Headers* headers, bool end) = 0;
  virtual void OnChainResponseBody(Body& body, bool end) = 0;
  virtual void OnChainResponseTrailers(Headers* trailers) = 0;
  // A filter replies, or a buffer limit was exceeded. The host makes the reply and hands it to
  // StartReply().
  virtual void OnChainReply(const LocalReply& reply) = 0;
  virtual void OnChainRequestTooLarge() = 0;
  virtual void OnChainResponseTooLarge() = 0;
  // Nested by count.
  virtual void PauseRequest() = 0;
  virtual void ResumeRequest() = 0;
  virtual void PauseResponse() = 0;
  virtual void ResumeResponse() = 0;

 protected:
  ~FilterChainHost() = default;
};

// The filters of one exchange, both ways, with pause and resume. A message part goes from filter to
// filter until one holds it; what a filter holds waits in its slot.
//
// Threads: the stream's. Lifetime: part of its Stream; Build() and End() enclose an exchange. Any
// call may end the exchange: the chain notices by stop marks and touches nothing afterwards.
class FilterChain {
 public:
  explicit FilterChain(FilterChainHost* host) : host_(host) {}
  ~FilterChain() { End(); }

  // Makes the filters that the route leaves on. The slots live in the host's arena.
  void Build(const HttpService::Chain& chain);
  bool built() const { return built_; }
  size_t size() const { return count_; }
  // The exchange is over: OnEnd() to every filter, no hook follows. May be called from inside a
  // hook.
  void Stop();
  // Stop(), then the filters' destructors; not from inside a hook. Idempotent.
  void End();

  void RequestHeaders(Headers* headers, bool end);
  void RequestBody(Body& body, bool end);
  void RequestTrailers(Headers* trailers);
  // Of the upstream: the last filter sees them first.
  void ResponseHeaders(Headers* headers, bool end);
  void ResponseBody(Body& body, bool end);
  void ResponseTrailers(Headers* trailers);

  // From now on no filter sees the request any more, and the response is one of our own: it goes
  // back through the filters that saw the request. Whatever was held of another response is
  // dropped.
  void StartReply();

 private:
  class Slot;
  enum Direction : uint8_t { kRequest, kResponse };
  enum class Held : uint8_t { kNone, kPaused, kBuffering };

  // One direction of one slot.
  struct Half {
    Held held = Held::kNone;
    bool in_hook = false;
    bool resume_asked = false;
    bool reading_paused = false;
    bool headers_held = false;
    bool end_seen = false;     // the part that ends the message was given to the hook
    bool end_waiting = false;  // ... waits in `waiting`
    bool trailers_seen = false;
    bool trailers_added = false;  // by this filter
    bool held_back = false;       // HoldRequest(), HoldResponse()
    Headers* headers = nullptr;
    Headers* trailers = nullptr;
    Body seen;     // given to the hook, not passed on
    Body waiting;  // not given to the hook yet
  };

  void Add(const HttpService::Filter& filter, Arena& arena);
  bool InRange(size_t index) const { return index < count_; }
  // Past the last filter the index leaves the range (it wraps below zero).
  static size_t Next(Direction direction, size_t index) {
    return direction == kRequest ? index + 1 : index - 1;
  }
  void PassHeaders(Direction direction, size_t index, Headers* headers, bool end);
  void PassBody(Direction direction, size_t index, Body& body, bool end);
  void PassTrailers(Direction direction, size_t index, Headers* trailers);
  // False: the filter holds the piece (or all is over), the next one must not see it.
  bool HookBody(Direction direction, size_t index, Body& body, bool end);
  void Hold(Direction direction, Half& half, Verdict verdict);
  void PauseWhenFull(Direction direction, Half& half);
  void Release(Direction direction, size_t index);
  void Resume(Direction direction, size_t index);
  void Inject(Direction direction, size_t index, Body& body);
  Headers& AddTrailers(Direction direction, size_t index);
  void HoldBack(Direction direction, size_t index, bool hold);
  // Tells the host when what is kept is too much.
  void CheckLimit(Direction direction, const Half& half);
  uint32_t& mark(Direction direction) { return marks_[direction]; }

  FilterChainHost* host_;
  SnapshotPin pin_;  // while filters of it are in use
  Slot** slots_ = nullptr;
  size_t count_ = 0;
  size_t request_reached_ = 0;  // filters that saw the request
  size_t response_start_ = 0;
  // Goes up when everything under way in that direction is void.
  uint32_t marks_[2] = {0, 0};
  bool request_over_ = false;
  bool built_ = false;
  bool stopped_ = false;
  std::optional<uint64_t> request_limit_;  // a filter's own
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_FILTER_CHAIN_H_
