#ifndef REMORA_PROXY_STREAM_ROUTER_EXCHANGE_H_
#define REMORA_PROXY_STREAM_ROUTER_EXCHANGE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "proxy/base/timer.h"
#include "proxy/stream/attempt.h"
#include "proxy/stream/retry.h"
#include "proxy/stream/router.h"
#include "proxy/stream/router_hash.h"
#include "proxy/stream/router_headers.h"
#include "proxy/stream/shadow.h"
#include "proxy/upstream/cluster_view.h"

namespace remora::proxy {

// The router of one exchange (router.h says what it is for). At most one attempt is under way;
// between two attempts a back-off timer runs.
//
// The request's side is in router.cc, the response's in router_response.cc.
class Exchange final : public Router, private AttemptEvents {
 public:
  Exchange() = default;
  ~Exchange() override { Cancel(); }

  void OnRequestHeaders(RouterHost* host, Headers* headers, bool end, bool upgrade) override;
  void OnRequestBody(Body& body, bool end) override;
  void OnRequestTrailers(Headers* trailers) override;
  void PauseResponse() override;
  void ResumeResponse() override;
  void Cancel() override;

 private:
  // AttemptEvents
  void OnAttemptReady(Attempt& attempt) override;
  void OnAttemptInterim(Attempt& attempt, Headers* headers) override;
  void OnAttemptHeaders(Attempt& attempt, Headers* headers, bool end) override;
  void OnAttemptBody(Attempt& attempt, Body& body, bool end) override;
  void OnAttemptTrailers(Attempt& attempt, Headers* trailers) override;
  void OnAttemptFailed(Attempt& attempt, AttemptFailure failure,
                       absl::string_view transport_reason) override;
  void OnAttemptTimeout(Attempt& attempt, Limit limit) override;
  void OnAttemptBlocked() override;
  void OnAttemptDrained() override;

  // Request.
  absl::string_view ChooseClusterName();
  const xds::WeightedCluster* ChooseWeighted();
  bool FindCluster();
  bool DropsOverload();
  Picked PickHost();
  const lb::HostEntry* NamedHost();
  std::optional<lb::SocketAddress> Destination();
  void AvoidTriedPriorities(lb::PickContext* context);
  const lb::Criteria* CriteriaOfRequest();
  PoolKey KeyFor(const Picked& picked);
  absl::string_view SniFor(const Picked& picked);
  void PrepareHeaders();
  void WriteExpectedTimeout(int64_t elapsed_ms);
  void StartAttempt(const Picked& picked, const PoolKey& key);
  void RequestEnded();
  void MakeShadows();
  void CopyToShadows(const Body& body);
  void LaunchShadows();
  bool KeepBody(const Body& body);
  bool keeps_body() const {
    if (response_started_ || body_lost_) return false;
    return retry_.enabled() || action_->internal_redirect.has_value();
  }

  // Retries.
  bool RetryAfterFailure(AttemptFailure failure, bool timed_out);
  bool RetryAfterAnswer(const Headers& headers);
  // Hedging. A late try goes on beside the next; false when there is none to start.
  void Hedge();
  // An event of a late try: true when the event is settled by dropping it, because others go on.
  // Otherwise it is the one try left, or, where it `answered`, the one that counts.
  bool SettleLate(Attempt& attempt, bool answered);
  bool Granted(Retry::Verdict verdict);
  void ScheduleRetry(bool timed_out);
  void TryAgain();

  // Response.
  bool RedirectInside(Headers& response);
  void StartTimers(Attempt& attempt);
  void OnResponseTimer();
  void ReportAnswer(const Headers& headers);
  void CountAnswerOfHost(const Headers& headers, bool end);
  void Charge(int status, const Headers* headers);
  void ChargeAltName(int status);
  void ChargeFailure(int status);
  Headers* BareAnswer(int status);
  void ResponseCompleted();
  void EditResponse(Headers& headers);
  void AddServiceTime(Headers& headers);
  // Ends the exchange with an answer of our own, or, once the response has begun, by abandoning it.
  void Give(int status, absl::string_view body, absl::string_view details,
            absl::string_view marker_header = {});
  void GiveSoon(int status, absl::string_view body, absl::string_view details);
  void GiveNow();
  void GiveTimeout(absl::string_view details);
  void DropAttempt();
  void DropLate();
  void StopTimers();

  // The cluster's own, or the route's.
  const std::vector<xds::HashPolicy>& hash_policies() const;
  const std::vector<xds::MirrorPolicy>& mirrors() const;
  const xds::RetryPolicy* retry_policy() const;

  StatScope<ClusterStat> stats() const { return cluster_->stats(); }
  StreamInfo& info() { return host_->info(); }
  health::RoutingPriority priority() const {
    return action_->high_priority ? health::RoutingPriority::kHigh
                                  : health::RoutingPriority::kDefault;
  }
  int64_t now_ms() { return host_->loop().now_ns() / 1000000; }
  bool adds_headers() { return !host_->suppress_envoy_headers(); }

  RouterHost* host_ = nullptr;  // null: idle
  const xds::ForwardAction* action_ = nullptr;
  const xds::WeightedCluster* weighted_ = nullptr;
  ClusterRef cluster_;
  Headers* headers_ = nullptr;
  Headers* trailers_ = nullptr;
  std::unique_ptr<Attempt> attempt_;
  std::vector<std::unique_ptr<Attempt>> late_;  // hedging: tries past their per-try timeout
  // Of the attempt that answered, for what a log tells of its connection.
  ConnectionHold hold_;
  // What was picked stays valid while an attempt needs it; the stream's own pin may be older.
  SnapshotPin pin_;
  Retry retry_;
  std::vector<std::unique_ptr<Shadow>> shadows_;  // until the request is whole
  absl::string_view alt_stat_name_;               // answers count below it as well; in the arena
  Body kept_;  // the request's body so far, when a retry may need it
  RequestTimeouts timeouts_;
  CookiesToSet cookies_;
  // Retries elsewhere: the priorities tried so far and the load without them.
  absl::InlinedVector<uint32_t, 4> tried_priorities_;
  lb::PriorityLoad untried_load_;
  std::shared_ptr<const lb::Criteria> own_criteria_;  // with dynamic metadata
  std::optional<uint64_t> hash_;
  std::optional<Timer> response_timer_;
  std::optional<Timer> backoff_timer_;
  struct Soon {
    int status = 0;
    absl::string_view body;  // both in the arena
    absl::string_view details;
  };
  Soon soon_;
  int64_t request_end_ms_ = -1;
  uint64_t shadow_bytes_ = 0;
  uint32_t named_hosts_tried_ = 0;
  uint32_t attempts_ = 0;
  uint32_t response_pauses_ = 0;
  bool grpc_ = false;
  bool internal_ = false;
  bool websocket_ = false;
  bool timeout_retry_ = false;
  bool hedges_ = false;
  bool backoff_limited_ = false;  // by what an answer said
  bool body_seen_ = false;        // the request has a body (or trailers)
  bool request_ended_ = false;
  bool response_started_ = false;
  bool grpc_success_open_ = false;  // the trailers will tell whether the host did well
  bool request_paused_ = false;
  bool body_lost_ = false;  // too much of it came to be kept
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_ROUTER_EXCHANGE_H_
