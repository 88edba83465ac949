#include "proxy/main/probers.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/timer.h"
#include "proxy/codec/codec.h"
#include "proxy/main/probe_exchange.h"
#include "proxy/net/connection.h"

namespace remora::proxy {
namespace {

using health::ProbeKind;
using health::ProbeResult;

bool OverHttp2(const xds::HealthCheck& check) {
  if (std::holds_alternative<xds::GrpcProbe>(check.probe)) return true;
  const auto* http = std::get_if<xds::HttpProbe>(&check.probe);
  return http != nullptr && http->http2;
}

// A connection to one host and the probe that uses it. Over TCP probes the bytes themselves are the
// exchange; else a client codec carries it.
class ProbeLine final : public Mortal,
                        private ConnectionEvents,
                        private CodecHost,
                        private ClientCodecEvents,
                        private MessageSink {
 public:
  ProbeLine(Loop* loop, const xds::HealthCheck* check)
      : loop_(loop),
        check_(check),
        timeout_(
            &loop->timers(), [](void* self) { static_cast<ProbeLine*>(self)->OnTimeout(); }, this) {
  }

  // Dials when there is no connection; true when one is there or on its way.
  bool Connect(Dialer* dialer, const DialTarget& target) {
    if (connection_ != nullptr) return true;
    std::string reason;
    connection_ = dialer->Dial(*loop_, target, &reason);
    if (connection_ == nullptr) return false;
    connection_->Start(this);
    return true;
  }

  void Begin(std::string authority, const lb::HostEntry& entry,
             std::function<void(ProbeResult)> done) {
    address_ = entry.host->address_string();
    info_ = StreamInfo();
    info_.upstream_host = address_;
    attributes_ = entry.attributes;
    info_.upstream_metadata = static_cast<const Metadata*>(attributes_->metadata.get());
    done_ = std::move(done);
    authority_ = std::move(authority);
    answer_ = {};
    timeout_.Start(check_->schedule.timeout.count());
    if (ready_) Send();
  }

  // Not even a connection could be tried.
  void FailSoon(std::function<void(ProbeResult)> done) {
    done_ = std::move(done);
    failed_early_ = true;
    timeout_.Start(0);
  }

  void Abandon() {
    done_ = nullptr;
    timeout_.Stop();
    Hang();
  }

  bool usable() const { return connection_ != nullptr && ready_; }
  // Ends the connection; nothing is told.
  void Hang() {
    ready_ = false;
    if (codec_ != nullptr) {
      stream_ = nullptr;
      codec_->OnConnectionClosed("");
      dead_codecs_.push_back(std::move(codec_));
    }
    if (connection_ != nullptr) {
      std::unique_ptr<Connection> connection = std::move(connection_);
      connection->SetEvents(nullptr);
      connection->Close();
      loop_->graveyard().Bury(std::move(connection));
    }
  }

 private:
  void OnConnected() override {
    ready_ = true;
    if (!std::holds_alternative<xds::TcpProbe>(check_->probe)) {
      codec_ = OverHttp2(*check_) ? MakeHttp2ClientCodec(this, this, Http2Options())
                                  : MakeHttp1ClientCodec(this, this, Http1Options());
    }
    if (done_) Send();
  }

  void Send() {
    if (const auto* tcp = std::get_if<xds::TcpProbe>(&check_->probe)) {
      if (tcp->send.empty() && tcp->receive.empty()) {
        Finish(ProbeKind::kPass);
        return;
      }
      connection_->output().Append(tcp->send);
      connection_->Flush();
      return;
    }
    arena_.Reset();
    stream_ = codec_->NewStream(this);
    if (stream_ == nullptr) {
      Finish(ProbeKind::kNetwork);
      return;
    }
    const Headers* request = ProbeRequest(*check_, authority_, info_, &arena_);
    const std::string body = ProbeBody(*check_);
    stream_->SendHeaders(*request, body.empty());
    if (body.empty()) return;
    Body bytes;
    bytes.Append(body);
    stream_->SendBody(bytes, true);
  }

  void OnData(bool eof) override {
    if (codec_ != nullptr) {
      const std::unique_ptr<CodecError> error = codec_->Feed(connection_->input());
      if (connection_ == nullptr) return;
      if (error != nullptr) {
        Finish(ProbeKind::kNetwork);
        return;
      }
      if (eof) codec_->OnEof();
      if (eof && connection_ != nullptr) Hang();
      return;
    }
    const auto& tcp = std::get<xds::TcpProbe>(check_->probe);
    answer_.body += connection_->input().ToString();
    connection_->input().Clear();
    if (done_ && ContainsInOrder(answer_.body, tcp.receive)) {
      Finish(ProbeKind::kPass);
    } else if (eof) {
      Finish(ProbeKind::kNetwork);
    }
  }
  void OnOutputBlocked() override {}
  void OnOutputDrained() override {}
  void OnOutputEmpty() override {
    if (codec_ != nullptr) codec_->OnOutputEmpty();
  }
  void OnClosed(CloseKind, bool) override {
    Hang();
    if (done_) Finish(ProbeKind::kNetwork);
  }

  Body& output() override { return connection_->output(); }
  void WantFlush() override { connection_->Flush(); }
  void WantFeed() override { connection_->RedeliverInput(); }
  void OnIdleChange(bool) override {}
  void OnGoAway() override { last_use_ = true; }
  void OnMaxStreams(uint32_t) override {}
  void OnStreamClosed() override {}

  Arena& arena() override { return arena_; }
  void OnInterim(Headers*) override {}
  void OnHeaders(Headers* headers, bool end) override {
    answer_.status = headers->status();
    answer_.degraded = headers->Has(HeaderId::kXEnvoyDegraded);
    answer_.healthchecked_cluster =
        std::string(headers->Value(HeaderId::kXEnvoyUpstreamHealthcheckedCluster));
    TakeGrpcStatus(*headers);
    if (end) Complete();
  }
  void OnBody(Body& body, bool end) override {
    const size_t wanted = wanted_body();
    if (answer_.body.size() < wanted)
      answer_.body += body.ToString().substr(0, wanted - answer_.body.size());
    body.Clear();
    if (end) Complete();
  }
  void OnTrailers(Headers* trailers) override {
    TakeGrpcStatus(*trailers);
    Complete();
  }
  void OnReset(ResetReason, absl::string_view) override {
    stream_ = nullptr;
    if (done_) Finish(ProbeKind::kNetwork);
  }
  void OnSendBlocked() override {}
  void OnSendDrained() override {}

  size_t wanted_body() const {
    const auto* http = std::get_if<xds::HttpProbe>(&check_->probe);
    if (http == nullptr) return 64;
    return http->receive.empty() ? 0 : http->response_buffer_size;
  }

  void TakeGrpcStatus(const Headers& headers) {
    int status = 0;
    if (absl::SimpleAtoi(headers.Value(HeaderId::kGrpcStatus), &status))
      answer_.grpc_status = status;
  }

  void Complete() {
    stream_ = nullptr;
    if (done_) Finish(Judge(*check_, answer_));
  }

  void OnTimeout() { Finish(failed_early_ ? ProbeKind::kNetwork : ProbeKind::kTimeout); }

  // The connection is kept only after an exchange that left it clean.
  void Finish(ProbeKind kind) {
    timeout_.Stop();
    failed_early_ = false;
    // Hanging up resets the stream, which must not be heard as another outcome.
    const std::function<void(ProbeResult)> done = std::exchange(done_, nullptr);
    const bool answered = std::holds_alternative<xds::HttpProbe>(check_->probe) &&
                          kind != ProbeKind::kNetwork && kind != ProbeKind::kTimeout;
    const uint32_t status = answered ? static_cast<uint32_t>(answer_.status) : 0;
    const bool clean = kind == ProbeKind::kPass || kind == ProbeKind::kDegraded ||
                       kind == ProbeKind::kRetriable ||
                       (kind == ProbeKind::kFail && stream_ == nullptr);
    const bool tcp = std::holds_alternative<xds::TcpProbe>(check_->probe);
    if (!clean || tcp || last_use_ || !check_->reuse_connection) Hang();
    last_use_ = false;
    if (done) done({kind, status});
  }

  Loop* loop_;
  const xds::HealthCheck* check_;
  Timer timeout_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<ClientCodec> codec_;
  // Codecs may be on the stack when their connection ends; they go with the line or its next probe.
  std::vector<std::unique_ptr<ClientCodec>> dead_codecs_;
  CodecStream* stream_ = nullptr;
  Arena arena_;
  std::string authority_;
  // Of the host, for headers that tell something of it.
  std::string address_;
  std::shared_ptr<const lb::HostAttributes> attributes_;
  StreamInfo info_;
  ProbeAnswer answer_;
  std::function<void(ProbeResult)> done_;
  bool ready_ = false;
  bool last_use_ = false;
  bool failed_early_ = false;

  friend class LineProber;
};

class LineProber final : public health::Prober {
 public:
  LineProber(Loop* loop, const xds::HealthCheck& check, std::string cluster_name,
             ClusterInForce cluster, Dialer* dialer, StatSlab* stats)
      : loop_(loop),
        check_(check),
        cluster_name_(std::move(cluster_name)),
        cluster_(std::move(cluster)),
        dialer_(dialer),
        stats_(stats) {
    if (check_.transport_socket_criteria.is_null()) return;
    criteria_.emplace().namespaces["envoy.transport_socket_match"] =
        check_.transport_socket_criteria;
  }

  ~LineProber() override {
    for (auto& [host, line] : lines_) Bury(std::move(line));
  }

  std::unique_ptr<health::Probe> Start(const lb::HostEntry& entry,
                                       std::function<void(ProbeResult)> done) override {
    std::unique_ptr<ProbeLine>& line = lines_[entry.host.get()];
    if (line == nullptr) line = std::make_unique<ProbeLine>(loop_, &check_);
    line->dead_codecs_.clear();
    auto probe = std::make_unique<LineProbe>(this, entry.host.get());
    const std::shared_ptr<const Cluster> cluster = cluster_();
    if (cluster == nullptr || !Dial(*line, entry, *cluster)) {
      line->FailSoon(std::move(done));
      return probe;
    }
    line->Begin(AuthorityOf(entry), entry, std::move(done));
    return probe;
  }

  void Forget(const lb::Host& host) override {
    const auto found = lines_.find(&host);
    if (found == lines_.end()) return;
    Bury(std::move(found->second));
    lines_.erase(found);
    targets_.erase(&host);
  }

 private:
  class LineProbe final : public health::Probe {
   public:
    LineProbe(LineProber* prober, const lb::Host* host) : prober_(prober), host_(host) {}
    ~LineProbe() override {
      const auto found = prober_->lines_.find(host_);
      // After its callback the line has nothing to give up.
      if (found != prober_->lines_.end() && found->second->done_) found->second->Abandon();
    }

   private:
    LineProber* prober_;
    const lb::Host* host_;
  };

  bool Dial(ProbeLine& line, const lb::HostEntry& entry, const Cluster& cluster) {
    if (line.connection_ != nullptr && !line.usable()) line.Hang();
    const lb::Host* target = entry.host.get();
    const auto& settings = entry.attributes->health_check;
    if (settings != nullptr && settings->address != nullptr) {
      std::unique_ptr<lb::Host>& own = targets_[entry.host.get()];
      if (own == nullptr) own = std::make_unique<lb::Host>(lb::SocketAddress(*settings->address));
      target = own.get();
    }
    std::vector<absl::string_view> alpn(check_.alpn.begin(), check_.alpn.end());
    if (alpn.empty() && OverHttp2(check_)) alpn.push_back("h2");
    const ClusterTransport& transport =
        criteria_.has_value() ? cluster.TransportFor(&*criteria_) : cluster.TransportFor(entry);
    return line.Connect(dialer_, DialTarget{*target, cluster, transport, {}, alpn, stats_});
  }

  std::string AuthorityOf(const lb::HostEntry& entry) const {
    const auto& settings = entry.attributes->health_check;
    if (settings != nullptr && !settings->hostname.empty()) return settings->hostname;
    return cluster_name_;
  }

  void Bury(std::unique_ptr<ProbeLine> line) {
    line->Abandon();
    loop_->graveyard().Bury(std::move(line));
  }

  Loop* loop_;
  const xds::HealthCheck check_;
  std::string cluster_name_;
  ClusterInForce cluster_;
  Dialer* dialer_;
  StatSlab* stats_;
  std::optional<Metadata> criteria_;  // of the transport, in place of the host's own
  absl::flat_hash_map<const lb::Host*, std::unique_ptr<ProbeLine>> lines_;
  absl::flat_hash_map<const lb::Host*, std::unique_ptr<lb::Host>> targets_;
};

}  // namespace

std::unique_ptr<health::Prober> MakeProber(Loop* loop, const xds::HealthCheck& check,
                                           std::string cluster_name, ClusterInForce cluster,
                                           Dialer* dialer, StatSlab* stats) {
  return std::make_unique<LineProber>(loop, check, std::move(cluster_name), std::move(cluster),
                                      dialer, stats);
}

}  // namespace remora::proxy
