// remora healthcheck: whether the data plane beside it is ready, with the exit code an orchestrator
// asks for. Plain blocking sockets: the process lives for one question.

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "filters/api/address.h"
#include "proxy/main/commands/commands.h"
#include "xds/bootstrap.h"

namespace remora::proxy {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(50);

struct Question {
  std::string admin;
  std::string admin_file;
  xds::Bootstrap::Options bootstrap;
  std::string path = "/ready";
  double timeout = 1;
  double wait = 0;
};

void Declare(CLI::App& app, Question& q) {
  app.add_option("--admin", q.admin, "The admin server: IP:PORT or the path of a socket")
      ->envname("REMORA_ADMIN");
  app.add_option("--admin-address-path", q.admin_file,
                 "The address is in this file (the data plane's flag of this name)");
  app.add_option("-c,--config-path", q.bootstrap.path, "The address is in this bootstrap");
  app.add_option("--config-yaml", q.bootstrap.inline_yaml, "The same, inline");
  app.add_option("--path", q.path, "What to ask for")->capture_default_str();
  app.add_option("--timeout", q.timeout, "Seconds for one question")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--wait", q.wait, "Seconds to ask again in, until it is ready")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

std::optional<Address> ParseAddress(absl::string_view text) {
  absl::ConsumePrefix(&text, "unix:");
  if (text.empty()) return std::nullopt;
  if (text[0] == '/' || text[0] == '@') return Address::FromPipe(text);
  return Address::FromIpPort(text);
}

// An admin server on every address is asked on the loopback.
Address OnThisHost(const Address& address) {
  if (!address.is_any()) return address;
  return *Address::FromIp(address.kind() == Address::Kind::kIpv4 ? "127.0.0.1" : "::1",
                          address.port());
}

absl::StatusOr<std::string> AddressText(const Question& question) {
  if (!question.admin.empty()) return question.admin;
  if (!question.admin_file.empty()) {
    std::ifstream file(question.admin_file);
    std::string text(std::istreambuf_iterator<char>(file), {});
    while (!text.empty() && text.back() == '\n') text.pop_back();
    if (text.empty()) return absl::UnavailableError(question.admin_file + ": no address yet");
    return text;
  }
  if (!question.bootstrap.path.empty() || !question.bootstrap.inline_yaml.empty()) {
    const auto bootstrap = xds::Bootstrap::Load(question.bootstrap);
    if (!bootstrap.ok()) return bootstrap.status();
    if (!(*bootstrap)->admin.address) {
      return absl::InvalidArgumentError("the bootstrap has no admin address");
    }
    return (*bootstrap)->admin.address->ToString();
  }
  return absl::InvalidArgumentError(
      "where is the admin server? --admin, --admin-address-path, --config-path or $REMORA_ADMIN");
}

absl::StatusOr<Address> AdminOf(const Question& question) {
  const absl::StatusOr<std::string> text = AddressText(question);
  if (!text.ok()) return text.status();
  const std::optional<Address> address = ParseAddress(*text);
  if (!address) return absl::InvalidArgumentError(absl::StrCat("not an address: ", *text));
  return OnThisHost(*address);
}

absl::Status Failure(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", strerror(errno)));
}

absl::Status AskOn(int fd, const Address& admin, const Question& question) {
  const timeval limit = absl::ToTimeval(absl::Seconds(question.timeout));
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  if (connect(fd, admin.sockaddr_ptr(), admin.sockaddr_size()) != 0) {
    return Failure(absl::StrCat("cannot connect to ", admin.ToString()));
  }
  const std::string request =
      absl::StrCat("GET ", question.path, " HTTP/1.1\r\nhost: remora\r\nconnection: close\r\n\r\n");
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return Failure("cannot ask");
  }
  // "HTTP/1.1 200 OK": all that counts stands in the first line.
  std::string reply;
  char piece[512];
  while (reply.find("\r\n") == std::string::npos && reply.size() < sizeof(piece)) {
    const ssize_t size = recv(fd, piece, sizeof(piece), 0);
    if (size < 0) return Failure("no answer");
    if (size == 0) return absl::UnavailableError("no answer: the connection was closed");
    reply.append(piece, static_cast<size_t>(size));
  }
  const std::string line = reply.substr(0, reply.find("\r\n"));
  if (line.size() >= 12 && line.compare(8, 4, " 200") == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(question.path, " says: ", line));
}

absl::Status Ask(const Question& question, absl::StatusOr<Address>& admin) {
  if (!admin.ok()) admin = AdminOf(question);
  if (!admin.ok()) return admin.status();
  const int fd = socket(admin->sockaddr_ptr()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failure("socket");
  const absl::Status status = AskOn(fd, *admin, question);
  close(fd);
  return status;
}

}  // namespace

int RunHealthcheck(absl::Span<char* const> arguments) {
  Question question;
  CLI::App app("Exits 0 if the data plane is ready, 1 if not", "remora healthcheck");
  Declare(app, question);
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  absl::StatusOr<Address> admin = absl::UnavailableError("not known yet");
  const absl::Time until = absl::Now() + absl::Seconds(question.wait);
  absl::Status status = Ask(question, admin);
  while (absl::IsUnavailable(status) && absl::Now() < until) {
    absl::SleepFor(kPause);
    status = Ask(question, admin);
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "remora healthcheck: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace remora::proxy
