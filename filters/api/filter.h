#ifndef REMORA_FILTERS_API_FILTER_H_
#define REMORA_FILTERS_API_FILTER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "filters/api/arena.h"
#include "filters/api/body.h"
#include "filters/api/headers.h"
#include "filters/api/side_call.h"
#include "filters/api/stream_info.h"

namespace remora {

// What every hook of a filter answers.
enum class Verdict : uint8_t {
  // On to the next filter.
  kContinue,
  // Stop here until FilterContext::Resume*(). What arrives meanwhile waits; beyond the stream's
  // buffer limit (of a response: at once) nothing is read, and back-pressure reaches the sender.
  kPause,
  // Stop here, but go on collecting the body up to the stream's buffer limit; beyond it the stream
  // answers 413 (request) or 500 (response). The hook is called again with each further piece; the
  // whole body is handed on when a hook answers kContinue or the context is resumed.
  kBuffer,
  // The filter has replied (FilterContext::Reply) or reset the stream; no further hook is called.
  kReplied,
};

struct LocalReply {
  int status = 500;
  absl::string_view body;          // static or in the stream's arena
  absl::string_view details;       // %RESPONSE_CODE_DETAILS%; static or in the arena
  std::optional<int> grpc_status;  // overrides the mapping from the HTTP status
  // A response that happens to be made here (a preflight's), not a refusal: neither the route's
  // header mutations nor local_reply_config nor gRPC's mapping touch it.
  bool is_response = false;
  // Called with the reply's headers before they are sent; may be null.
  std::function<void(Headers&)> edit;
};

class Runtime;
struct FilterState;
struct Metadata;
struct RateLimits;

// What the chosen route and its virtual host say of rate limits; null where they say nothing.
struct RouteRateLimits {
  const RateLimits* route = nullptr;
  const RateLimits* virtual_host = nullptr;
  bool include_virtual_host = false;  // the route's include_vh_rate_limits
};

// What a filter counts for the cluster that the request goes to ("cluster.NAME.ext_authz.ok").
enum class ClusterCount : uint8_t {
  kExtAuthzOk,
  kExtAuthzDenied,
  kExtAuthzError,
  kExtAuthzDisabled,
  kExtAuthzFailureModeAllowed,
  kRateLimitOk,
  kRateLimitError,
  kRateLimitOverLimit,
  kRateLimitFailureModeAllowed,
};

// One number of a filter's statistics; its prefix comes from FilterFactory::stat_prefix().
struct FilterStat {
  absl::string_view name;
  bool gauge = false;
  bool histogram = false;  // FilterContext::Record() counts it
  bool rare = false;       // a counter that is not shown before it counted something
};

// What a filter may ask of its stream: each filter of a chain has a context of its own. Valid for
// the life of the filter; one thread.
class FilterContext {
 public:
  virtual ~FilterContext() = default;

  virtual Arena& arena() = 0;
  virtual StreamInfo& info() = 0;
  virtual const StreamInfo& info() const = 0;
  virtual int64_t now_ns() const = 0;  // monotonic, the loop's clock of this turn
  virtual uint64_t random() = 0;

  virtual Headers* request_headers() = 0;   // null before they arrived
  virtual Headers* response_headers() = 0;  // null before they arrived

  // The runtime layers of this moment; may be null.
  virtual const Runtime* runtime() const = 0;
  // Adds to one of the numbers that the filter's factory declares.
  virtual void Count(uint32_t stat, int64_t amount = 1) = 0;
  // Adds a value to a histogram that the filter's factory declares.
  virtual void Record(uint32_t stat, uint64_t value) = 0;
  // Counts (and notes a value) under names that only a request tells; full names, without the
  // prefix of the factory. The first use of a name allocates.
  virtual void CountNamed(absl::string_view name, int64_t amount) = 0;
  virtual void RecordNamed(absl::string_view name, uint64_t value) = 0;
  // "cluster.NAME." of the chosen route's cluster; "" when it is not there.
  virtual absl::string_view cluster_stat_prefix() const = 0;
  // As Count(), below the chosen route's cluster; nothing without one.
  virtual void CountForCluster(ClusterCount what) = 0;
  // Counts a reply of the filter's own among the answers of the chosen route's cluster.
  virtual void ChargeCluster(int http_status) = 0;

  // What filters note for routes, policies and logs; read as StreamInfo::dynamic_metadata.
  virtual Metadata& dynamic_metadata() = 0;

  // What filters note for others by key; what the connection's filters noted is found behind it.
  virtual FilterState& filter_state() = 0;

  // The per-route configuration of this filter (typed_per_filter_config) as its type's parse_route
  // made it; the most specific level. Null when there is none.
  virtual const void* route_config() const = 0;
  // As above, of every level that has one: least specific first. At most `most` are written.
  virtual size_t route_configs(const void** out, size_t most) const = 0;
  // The chosen route's cluster name ("" when there is none), and the cluster that this proxy itself
  // is part of (--service-cluster).
  virtual absl::string_view cluster_name() const = 0;
  virtual absl::string_view local_cluster_name() const = 0;
  // The whole server's health as /healthcheck/fail sets it.
  virtual bool server_failing() const = 0;

  // Start a call to a cluster; never null. See side_call.h.
  virtual std::unique_ptr<SideCall> CallHttp(const HttpCall& call, HttpCallDone done) = 0;
  virtual std::unique_ptr<SideCall> CallGrpc(const GrpcCall& call, GrpcCallDone done) = 0;
  // A call of many messages (`call.request` is not sent). `events` outlives the stream.
  virtual std::unique_ptr<SideStream> OpenGrpc(const GrpcCall& call, SideStreamEvents* events) = 0;

  virtual RouteRateLimits rate_limits() const = 0;
  // The host ("ip:port") that the router is to use rather than pick one; text in the arena.
  // `strict`: without it the request is refused.
  virtual void OverrideHost(absl::string_view address, bool strict) = 0;

  // Calls HttpFilter::OnTimer() once, `delay_ns` from now. One timer a filter; starting it again
  // moves it.
  virtual void StartTimer(int64_t delay_ns) = 0;
  virtual void StopTimer() = 0;

  // Ends the request side: no later filter sees the request, the response goes back through the
  // filters that saw the request.
  virtual void Reply(const LocalReply& reply) = 0;
  // Go on after kPause or kBuffer. May call into later filters before it returns.
  virtual void ResumeRequest() = 0;
  virtual void ResumeResponse() = 0;
  // The most that kBuffer may keep of this request (the configured limit otherwise).
  virtual void set_request_buffer_limit(uint64_t bytes) = 0;
  // Drops the chosen route, so that it is matched anew with the headers as they are now.
  virtual void ClearRoute() = 0;

  // Hands `body` to the filters behind this one, after headers that it may have held. A filter that
  // takes pieces out of its body hooks (Body::Swap), answers kBuffer and hands on by itself sees
  // each piece at once and keeps the pace; resuming ends the message.
  virtual void InjectRequest(Body& body) = 0;
  virtual void InjectResponse(Body& body) = 0;
  // What kBuffer keeps, for a filter that is to change it before it resumes.
  virtual Body& request_buffer() = 0;
  virtual Body& response_buffer() = 0;
  // Gives a message that ends without trailers some, from inside the hook that sees its end or
  // while that end is held. The filters behind see them.
  virtual Headers& AddRequestTrailers() = 0;
  virtual Headers& AddResponseTrailers() = 0;
  // Trailers that arrived and wait with this filter; null when there are none.
  virtual Headers* request_trailers() = 0;
  virtual Headers* response_trailers() = 0;
  // A filter that keeps bytes to itself stops what sends them, and lets it go on.
  virtual void HoldRequest(bool hold) = 0;
  virtual void HoldResponse(bool hold) = 0;
  // The most that a filter may keep of each direction; 0: no limit.
  virtual uint64_t request_buffer_limit() const = 0;
  virtual uint64_t response_buffer_limit() const = 0;
};

// Acts on one exchange. Lives for one stream on one thread; every hook may change what it is given.
// Request hooks run in the order of configuration, response hooks in reverse.
class HttpFilter {
 public:
  virtual ~HttpFilter() = default;

  // Called once before any other hook.
  virtual void Attach(FilterContext* context) { context_ = context; }
  virtual void OnTimer() {}

  virtual Verdict OnRequestHeaders(Headers&, bool /*end*/) { return Verdict::kContinue; }
  virtual Verdict OnRequestBody(Body&, bool /*end*/) { return Verdict::kContinue; }
  virtual Verdict OnRequestTrailers(Headers&) { return Verdict::kContinue; }
  virtual Verdict OnResponseHeaders(Headers&, bool /*end*/) { return Verdict::kContinue; }
  virtual Verdict OnResponseBody(Body&, bool /*end*/) { return Verdict::kContinue; }
  virtual Verdict OnResponseTrailers(Headers&) { return Verdict::kContinue; }
  // The stream is over, whatever its end; cancel what is pending. No hook follows.
  virtual void OnEnd() {}

 protected:
  FilterContext* context_ = nullptr;
};

// Makes the filter of each stream. Built on main from the typed configuration, then const and
// shared by all workers. The filter it makes is allocated by the stream (see FilterChain): Create
// places it in `arena` memory when it can, and Destroy ends it.
class FilterFactory {
 public:
  virtual ~FilterFactory() = default;
  virtual HttpFilter* Create(Arena& arena) const = 0;
  // The numbers this filter counts by index, and what they are called: "fault." stands below the
  // connection manager ("http.PREFIX.fault."), a prefix that begins with a dot is used as it is
  // without the dot. Static text or text of the factory.
  virtual absl::Span<const FilterStat> stats() const { return {}; }
  virtual absl::string_view stat_prefix() const { return {}; }
  // Runs the destructor; the memory is the arena's.
  virtual void Destroy(HttpFilter* filter) const { filter->~HttpFilter(); }
};

}  // namespace remora

#endif  // REMORA_FILTERS_API_FILTER_H_
