#include "tests/support/stream_fixture.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "proxy/net/transport.h"
#include "tests/support/xds/parsing.h"
#include "xds/http_connection_manager.h"

namespace remora::testing {

using Proto =
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

HandRouter* HandRouter::last = nullptr;

HandRouter::HandRouter() = default;
HandRouter::~HandRouter() {
  if (last == this) last = nullptr;
}

void HandRouter::OnRequestHeaders(proxy::RouterHost* new_host, Headers* new_headers, bool end,
                                  bool asks_upgrade) {
  last = this;
  host = new_host;
  headers = new_headers;
  ended = end;
  upgrade = asks_upgrade;
  trailers = false;
  body.clear();
  host->MutateRequestHeaders(*headers, nullptr);
}

void HandRouter::OnRequestBody(Body& more, bool end) {
  body += more.ToString();
  more.Clear();
  ended = end;
}

void HandRouter::OnRequestTrailers(Headers*) {
  trailers = true;
  ended = true;
}

void HandRouter::Cancel() {
  if (host == nullptr) return;
  ++cancels;
  host = nullptr;
  headers = nullptr;
  paused = 0;
}

void HandRouter::SendHeaders(int status,
                             const std::vector<std::pair<std::string, std::string>>& fields,
                             bool end) {
  Headers* response = host->arena().New<Headers>(&host->arena());
  response->set_status(status);
  for (const auto& [name, value] : fields) response->Add(name, value);
  host->info().response_code_details = "via_upstream";
  host->MutateResponseHeaders(*response, nullptr);
  host->OnUpstreamHeaders(response, end);
}

void HandRouter::Respond(int status, absl::string_view text) {
  SendHeaders(status, {{"content-length", absl::StrCat(text.size())}}, text.empty());
  if (!text.empty()) SendBody(text, true);
}

void HandRouter::SendBody(absl::string_view text, bool end) {
  Body more;
  more.Append(text);
  host->OnUpstreamBody(more, end);
}

StreamFixture::StreamFixture() {
  char name[] = "/tmp/remora_stream_XXXXXX";
  dir = ::mkdtemp(name);
  upstream.Install();
  const proxy::StatBlock* block = upstream.stats.Register("filesystem.", proxy::FileStatSchema());
  logs = std::make_unique<proxy::LogWriter>(&upstream.loop, 10000,
                                            upstream.stats.MainScope<proxy::FileStat>(block));
  worker = std::make_unique<proxy::HttpWorker>(upstream.view.get(), logs.get());
  worker->set_router_maker(
      []() -> std::unique_ptr<proxy::Router> { return std::make_unique<HandRouter>(); });
}

StreamFixture::~StreamFixture() {
  connection.reset();
  Turn();
  worker.reset();
  logs.reset();
  const std::string command = "rm -rf " + dir;
  EXPECT_EQ(std::system(command.c_str()), 0);
}

void StreamFixture::Configure(const std::string& yaml) {
  xds::ParseContext context;
  Proto proto = xds::FromYaml<Proto>(
      absl::StrCat(yaml,
                   "\nstat_prefix: h\nhttp_filters: [{name: r, typed_config: {\"@type\": "
                   "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]\n"));
  auto config = xds::HttpConnectionManager::Parse(proto, context);
  ASSERT_TRUE(config.ok() && context.ok()) << config.status() << context.status();
  proxy::HttpServiceInput input;
  input.config = *config;
  input.stats = &upstream.stats;
  input.log_files = &log_files;
  input.listener_stat_prefix = "listener.l.";
  input.host_address = *Address::FromIp("198.51.100.7", 0);
  auto made = proxy::HttpService::Make(input);
  ASSERT_TRUE(made.ok()) << made.status();
  service = *made;
}

void StreamFixture::Connect(absl::string_view peer) {
  far = std::make_shared<FarEnd>();
  auto stream = std::make_unique<MemoryStream>(&upstream.loop, far, /*connecting=*/false);
  auto raw = std::make_unique<proxy::Connection>(
      &upstream.loop, std::move(stream), proxy::MakeRawTransport(), service->buffer_limit());
  raw->info().remote = raw->info().direct_remote = *Address::FromIpPort(peer);
  raw->info().local = *Address::FromIpPort("10.0.0.9:8080");
  connection = std::make_unique<proxy::HttpConnection>(worker.get(), service, std::move(raw), this);
  connection->Start(/*started=*/false);
  Turn();
}

std::string StreamFixture::Talk(absl::string_view bytes) {
  far->Send(bytes);
  Turn();
  return far->Take();
}

std::string StreamFixture::Log() {
  logs->Flush();
  std::ifstream file(dir + "/a.log");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void StreamFixture::OnHttpConnectionEnded(proxy::HttpConnection*) {
  ++ended;
  upstream.loop.graveyard().Bury(std::move(connection));
}

}  // namespace remora::testing
