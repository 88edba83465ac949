// Routes of a stream, and the answers that routes give by themselves.
#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "filters/formatter.h"
#include "filters/grpc_status.h"
#include "proxy/stream/http_connection.h"
#include "proxy/stream/http_service.h"
#include "proxy/stream/http_worker.h"
#include "proxy/stream/local_reply.h"
#include "proxy/stream/redirect.h"
#include "proxy/stream/route_stats.h"
#include "proxy/stream/router_headers.h"
#include "proxy/stream/stream.h"
#include "proxy/upstream/cluster_stats.h"
#include "proxy/upstream/cluster_view.h"
#include "proxy/upstream/worker_view.h"
#include "xds/scoped_route.h"

namespace remora::proxy {
namespace {

bool NeedsTls(const xds::VirtualHost& host, const Headers& request, bool internal) {
  const bool secure = request.Value(HeaderId::kXForwardedProto) == "https";
  switch (host.require_tls) {
    case xds::VirtualHost::RequireTls::kNone:
      return false;
    case xds::VirtualHost::RequireTls::kAll:
      return !secure;
    case xds::VirtualHost::RequireTls::kExternalOnly:
      return !secure && !internal;
  }
  return false;
}

bool HasLocation(int status) { return status == 201 || (status >= 300 && status < 400); }

}  // namespace

bool Stream::IsGrpc() const {
  return request_headers_ != nullptr && IsGrpcRequest(*request_headers_);
}

const xds::RouteTable* Stream::FindTable() {
  const xds::HttpConnectionManager& config = connection_->service().config();
  if (config.route_table != nullptr) return config.route_table.get();
  // What routes are in force is decided now, not when the first byte came.
  if (levels_.table == nullptr) pin_ = view().Pin();
  return config.scoped != nullptr ? FindScopedTable(*config.scoped)
                                  : pin_.FindRoutes(config.rds_name);
}

const xds::RouteTable* Stream::FindScopedTable(const xds::ScopedRoutes& scoped) {
  if (!scoped.key.Build(*request_headers_, &scope_key_)) return nullptr;
  const xds::ScopedRoute* scope = nullptr;
  if (scoped.dynamic()) {
    scope = pin_.FindScope(scope_key_);
  } else if (const auto found = scoped.inline_scopes.find(scope_key_);
             found != scoped.inline_scopes.end()) {
    scope = found->second.get();
  }
  if (scope == nullptr) return nullptr;
  return scope->table != nullptr ? scope->table.get() : pin_.FindRoutes(scope->route_name);
}

void Stream::ChooseRoute() {
  route_chosen_ = true;
  ++info_.route_resolutions;
  tls_redirect_ = false;
  // One table for the whole exchange, whatever is installed meanwhile; but of the scope that the
  // request's headers name now.
  const bool scoped = connection_->service().config().scoped != nullptr;
  const xds::RouteTable* table = levels_.table == nullptr || scoped ? FindTable() : levels_.table;
  levels_ = Levels();
  levels_.table = table;
  if (table != nullptr) {
    xds::RouteQuery query(*request_headers_);
    query.random = random();
    query.tls = info_.downstream->tls;
    query.runtime = runtime();
    query.dynamic_metadata = &dynamic_metadata_;
    query.filter_state = info_.filter_state;
    query.info = &info_;
    const xds::RouteResult result = table->Match(query);
    levels_.virtual_host = result.virtual_host;
    levels_.route = result.route;
  }
  NoteRoute();
}

void Stream::NoteRoute() {
  info_.dynamic_metadata = &dynamic_metadata_;
  info_.route_name = info_.virtual_host_name = info_.virtual_cluster_name = {};
  info_.route_metadata = info_.virtual_host_metadata = nullptr;
  vcluster_stats_ = route_stats_ = nullptr;
  if (levels_.virtual_host == nullptr) return;
  info_.virtual_host_name = levels_.virtual_host->name;
  info_.virtual_host_metadata = &levels_.virtual_host->metadata;
  if (NeedsTls(*levels_.virtual_host, *request_headers_, info_.internal_request)) {
    tls_redirect_ = true;
    return;
  }
  if (levels_.route == nullptr) return;
  info_.route_name = levels_.route->name;
  info_.route_metadata = &levels_.route->metadata;
  NoteCluster();
  route_stats_ = RouteStats(*levels_.route);
  if (levels_.route->forward() != nullptr) LimitDuration(*levels_.route->forward());
  if (!levels_.virtual_host->virtual_clusters.empty() && levels_.route->forward() != nullptr) {
    const xds::VirtualCluster* found = levels_.virtual_host->MatchVirtualCluster(*request_headers_);
    vcluster_stats_ = VirtualClusterStats(*levels_.virtual_host, found);
    info_.virtual_cluster_name = found == nullptr ? "other" : absl::string_view(found->name);
  }
}

// The cluster is known as soon as the route names it, whoever answers.
void Stream::NoteCluster() {
  const xds::ForwardAction* action = levels_.route->forward();
  if (action == nullptr || action->cluster_by != xds::ForwardAction::ClusterBy::kName) return;
  const ClusterView* view = this->view().FindCluster(action->cluster);
  if (view == nullptr) return;
  info_.upstream_cluster = arena_.Copy(view->config().stat_name());
  info_.upstream_cluster_raw = action->cluster;
}

void Stream::LimitDuration(const xds::ForwardAction& action) {
  const auto& otherwise = connection_->service().config().common.max_stream_duration;
  const std::optional<int64_t> limit = LimitStream(action, otherwise, *request_headers_);
  if (!limit.has_value()) {
    duration_timer_.Stop();
    return;
  }
  const int64_t spent = worker_->loop().now_ns() - info_.timing.start_ns;
  // A limit that has passed ends the stream at the next turn.
  duration_timer_.Start(std::max<int64_t>(*limit * 1000000 - spent, 1));
}

// An answer of the upstream (or of the router in its place) in the numbers of route and virtual
// cluster; 0: a request begins.
void Stream::CountForRoute(int status) {
  for (const StatBlock* block : {vcluster_stats_, route_stats_}) {
    if (block == nullptr) continue;
    const StatScope<RouteStat> scope(worker_->stats().Cells(*block));
    if (status == 0) {
      scope.Add(RouteStat::kTotal);
      continue;
    }
    CountAnswer(scope, status);
    if (info_.timing.request_end_ns != 0) {
      scope.Record(RouteStat::kTime,
                   (worker_->loop().now_ns() - info_.timing.request_end_ns) / 1000000);
    }
  }
}

void Stream::ClearRoute() { route_chosen_ = false; }

std::optional<bool> Stream::RouteAllowsUpgrade(absl::string_view type) const {
  if (levels_.route == nullptr || levels_.route->forward() == nullptr) return std::nullopt;
  for (const xds::UpgradeSetting& setting : levels_.route->forward()->upgrades) {
    if (absl::EqualsIgnoreCase(setting.type, type)) return setting.enabled;
  }
  return std::nullopt;
}

// No cluster is involved: there is no route, or the route answers.
void Stream::RespondDirectly() {
  const StatScope<HttpStat>& stats = connection_->stats();
  if (tls_redirect_) {
    stats.Add(HttpStat::kRqDirectResponse);
    RespondTlsRedirect();
    return;
  }
  if (levels_.route != nullptr) {
    if (const xds::RedirectAction* redirect = levels_.route->redirect()) {
      stats.Add(HttpStat::kRqDirectResponse);
      RespondRedirect(*redirect);
      return;
    }
    if (const xds::DirectResponseAction* direct = levels_.route->direct_response()) {
      stats.Add(HttpStat::kRqDirectResponse);
      RespondFixed(*direct);
      return;
    }
  }
  stats.Add(HttpStat::kNoRoute);
  info_.flags.Add(ResponseFlag::kNoRouteFound);
  ReplyPlain(404, "", "route_not_found");
}

void Stream::RespondTlsRedirect() {
  LocalReply reply;
  reply.status = 301;
  reply.details = "direct_response";
  reply.edit = [this](Headers& response) {
    response.AddReference(HeaderId::kLocation, TlsRedirectLocation(*request_headers_));
  };
  Reply(reply, /*route_mutations=*/false);
}

void Stream::RespondRedirect(const xds::RedirectAction& redirect) {
  RewriteRedirectPath(*levels_.route, redirect, *request_headers_);
  LocalReply reply;
  reply.status = redirect.status;
  reply.details = "direct_response";
  reply.edit = [this, &redirect](Headers& response) {
    response.AddReference(HeaderId::kLocation, RedirectLocation(redirect, *request_headers_));
    MutateResponseHeaders(response, nullptr);
  };
  Reply(reply, /*route_mutations=*/false);
}

void Stream::RespondFixed(const xds::DirectResponseAction& direct) {
  LocalReply reply;
  reply.status = direct.status;
  reply.body = direct.body;
  reply.details = "direct_response";
  const xds::Format* const format =
      direct.format && direct.format->formatter != nullptr ? &*direct.format : nullptr;
  if (format != nullptr) {
    info_.local_reply_body = direct.body;
    reply.body = format->formatter->Format(info_, arena_);
  }
  reply.edit = [this, format, status = direct.status](Headers& response) {
    if (HasLocation(status)) {
      response.AddReference(HeaderId::kLocation, RequestUrl(*request_headers_));
    }
    if (format != nullptr) {
      const bool json = format->kind == xds::Format::Kind::kJson;
      response.SetReference(HeaderId::kContentType, !format->content_type.empty()
                                                        ? absl::string_view(format->content_type)
                                                    : json ? "application/json"
                                                           : "text/plain");
    }
    MutateResponseHeaders(response, nullptr);
  };
  Reply(reply, /*route_mutations=*/false);
}

void Stream::MutateRequestHeaders(Headers& headers, const xds::WeightedCluster* weighted) {
  ApplyRequestMutations({levels_.table, levels_.virtual_host, levels_.route, weighted}, info_,
                        headers);
}

void Stream::MutateResponseHeaders(Headers& headers, const xds::WeightedCluster* weighted) {
  info_.response_headers = &headers;
  ApplyResponseMutations({levels_.table, levels_.virtual_host, levels_.route, weighted}, info_,
                         headers);
}

}  // namespace remora::proxy
