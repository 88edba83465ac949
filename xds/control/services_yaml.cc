#include "xds/control/services_yaml.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "xds/control/yaml_reader.h"

namespace remora::control {
namespace {

constexpr uint32_t kMaxWeight = 65535;

bool IsHostName(absl::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  if (host.find_first_not_of("0123456789.") == absl::string_view::npos) {
    return false;  // an IPv4 address gone wrong
  }
  return std::all_of(host.begin(), host.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_';
  });
}

// Reads one file's worth into the services of all files.
class ServicesReader {
 public:
  ServicesReader(const NamedText& text, ParsedServices* out, std::vector<std::string>* mistakes)
      : yaml_(text.name, mistakes), out_(out) {
    std::optional<YamlValue> root = yaml_.Document(text.text);
    if (!root.has_value()) return;
    yaml_.Fields(*root, {{"services",
                          [this](const YamlValue& v) {
                            yaml_.Names(v, [this](const std::string& name, const YamlValue& entry) {
                              ReadService(name, entry);
                            });
                          }},
                         {"gateways", [this](const YamlValue& v) {
                            yaml_.Names(v, [this](const std::string& name, const YamlValue& entry) {
                              ReadGateway(name, entry);
                            });
                          }}});
  }

  // What can only be judged when all files are read.
  void CheckReferences() {
    for (const Reference& ref : references_) {
      auto found = out_->services.services.find(ref.callee);
      if (found == out_->services.services.end()) {
        yaml_.Mistake(ref.where, absl::StrCat("there is no service '", ref.callee, "'"));
        continue;
      }
      const Service& callee = found->second;
      if (ref.tcp != (callee.protocol == Protocol::kTcp)) {
        yaml_.Mistake(ref.where, absl::StrCat("'", ref.callee, "' speaks ",
                                              ref.tcp ? "HTTP: use routes" : "tcp: use tcp"));
      }
      if (HasSidecar(callee) && !Allows(callee, ref.caller)) {
        out_->warnings.push_back(
            yaml_.Message(ref.where, absl::StrCat("'", ref.callee, "' does not allow '", ref.caller,
                                                  "': calls will be refused")));
      }
    }
    for (const auto& [name, where] : allowed_) {
      if (!out_->services.services.contains(name) && !out_->services.gateways.contains(name)) {
        yaml_.Mistake(where, absl::StrCat("there is no service or gateway '", name, "'"));
      }
    }
  }

 private:
  // `caller` reaches `callee`; `tcp` says in which way.
  struct Reference {
    std::string caller;
    std::string callee;
    bool tcp;
    YamlValue where;
  };

  static bool HasSidecar(const Service& service) {
    return service.sidecar.has_value() ||
           std::any_of(service.endpoints.begin(), service.endpoints.end(),
                       [](const Endpoint& e) { return e.sidecar.has_value(); });
  }

  static bool Allows(const Service& service, const std::string& caller) {
    return std::any_of(service.allow.begin(), service.allow.end(),
                       [&](const std::string& name) { return name == "*" || name == caller; });
  }

  bool IsNew(const std::string& name, const YamlValue& value) {
    if (out_->services.services.contains(name) || out_->services.gateways.contains(name)) {
      yaml_.Mistake(value, "there is a service or gateway of this name");
      return false;
    }
    return true;
  }

  void ReadService(const std::string& name, const YamlValue& value) {
    if (!IsNew(name, value)) return;
    Service service;
    service.name = name;
    bool timeout_given = false;
    std::vector<YamlReader::Field> fields = {
        {"protocol", [&](const YamlValue& v) { ReadProtocol(v, &service.protocol); }},
        {"endpoints",
         [&](const YamlValue& v) {
           yaml_.List(
               v, [&](const YamlValue& e) { ReadEndpoint(e, &service.endpoints.emplace_back()); });
         }},
        {"sidecar", [&](const YamlValue& v) { yaml_.HostPort(v, &service.sidecar.emplace()); }},
        {"health_check",
         [&](const YamlValue& v) { ReadHealthCheck(v, &service.health_check.emplace()); }},
        {"allow", [&](const YamlValue& v) { ReadAllow(v, &service.allow); }},
        {"upstreams", [&](const YamlValue& v) { ReadUpstreams(v, &service); }},
        {"timeout",
         [&](const YamlValue& v) {
           timeout_given = true;
           yaml_.Duration(v, absl::ZeroDuration(), &service.timeout);
         }},
        {"retries", [&](const YamlValue& v) { yaml_.Number(v, 0, 10, &service.retries); }},
        {"access_log", [&](const YamlValue& v) { yaml_.Text(v, &service.access_log); }}};
    yaml_.Fields(value, fields);
    // A gRPC stream may live for hours, so only its own deadline ends it.
    if (service.protocol == Protocol::kGrpc && !timeout_given) {
      service.timeout = absl::ZeroDuration();
    }
    CheckService(value, service);
    out_->services.services.emplace(name, std::move(service));
  }

  void CheckService(const YamlValue& value, Service& service) {
    const bool tcp = service.protocol == Protocol::kTcp;
    if (service.endpoints.empty() && !service.sidecar.has_value()) {
      yaml_.Mistake(value, "has neither endpoints nor a sidecar");
    }
    if (!HasSidecar(service)) {
      if (!service.allow.empty()) {
        yaml_.Mistake(value,
                      "'allow' needs a sidecar to hold it: say where it "
                      "listens, sidecar: HOST:PORT");
      }
      return;
    }
    for (const Endpoint& endpoint : service.endpoints) {
      if (endpoint.sidecar.has_value() || service.sidecar.has_value()) continue;
      yaml_.Mistake(value, absl::StrCat("endpoint ", endpoint.address.ToString(),
                                        " has no sidecar, others have"));
    }
    if (tcp && service.health_check.has_value() &&
        service.health_check->kind == HealthCheck::Kind::kHttp) {
      service.health_check->kind = HealthCheck::Kind::kTcp;
    }
  }

  void ReadProtocol(const YamlValue& value, Protocol* out) {
    std::string text;
    yaml_.Text(value, &text);
    if (text == "http") {
      *out = Protocol::kHttp;
    } else if (text == "http2") {
      *out = Protocol::kHttp2;
    } else if (text == "grpc") {
      *out = Protocol::kGrpc;
    } else if (text == "tcp") {
      *out = Protocol::kTcp;
    } else {
      yaml_.Mistake(value, "expected http, http2, grpc or tcp");
    }
  }

  void ReadEndpoint(const YamlValue& value, Endpoint* out) {
    if (value.node.IsScalar()) return yaml_.HostPort(value, &out->address);
    yaml_.Fields(
        value,
        {{"address", [&](const YamlValue& v) { yaml_.HostPort(v, &out->address); }},
         {"weight", [&](const YamlValue& v) { yaml_.Number(v, 1, kMaxWeight, &out->weight); }},
         {"name", [&](const YamlValue& v) { yaml_.Text(v, &out->name); }},
         {"sidecar", [&](const YamlValue& v) { yaml_.HostPort(v, &out->sidecar.emplace()); }}});
    if (out->address.port == 0 && !value.node["address"].IsDefined()) {
      yaml_.Mistake(value, "has no address");
    }
  }

  void ReadHealthCheck(const YamlValue& value, HealthCheck* out) {
    yaml_.Fields(
        value,
        {{"path",
          [&](const YamlValue& v) {
            yaml_.Text(v, &out->path);
            if (!absl::StartsWith(out->path, "/")) {
              yaml_.Mistake(v, "a path begins with /");
            }
          }},
         {"grpc",
          [&](const YamlValue& v) {
            out->kind = HealthCheck::Kind::kGrpc;
            if (v.node.IsScalar()) out->grpc_service = v.node.Scalar();
          }},
         {"interval",
          [&](const YamlValue& v) { yaml_.Duration(v, absl::Milliseconds(10), &out->interval); }},
         {"timeout",
          [&](const YamlValue& v) { yaml_.Duration(v, absl::Milliseconds(10), &out->timeout); }},
         {"unhealthy_after",
          [&](const YamlValue& v) { yaml_.Number(v, 1, 100, &out->unhealthy_after); }},
         {"healthy_after",
          [&](const YamlValue& v) { yaml_.Number(v, 1, 100, &out->healthy_after); }}});
  }

  void ReadAllow(const YamlValue& value, std::vector<std::string>* out) {
    yaml_.List(value, [&](const YamlValue& v) {
      if (v.node.IsScalar() && v.node.Scalar() == "*") {
        out->push_back("*");
        return;
      }
      std::string name;
      if (!yaml_.Name(v, &name)) return;
      out->push_back(name);
      allowed_.emplace_back(name, v);
    });
  }

  void ReadUpstreams(const YamlValue& value, Service* service) {
    yaml_.Names(value, [&](const std::string& name, const YamlValue& v) {
      ReadListen(v, &service->upstreams[name]);
      upstreams_.push_back({service->name, name, false, v});
    });
  }

  // Where somebody listens: no name will do.
  void ReadListen(const YamlValue& value, Address* out) {
    yaml_.HostPort(value, out);
    if (!out->is_ip) {
      yaml_.Mistake(value, "expected an IP address to listen on");
    }
  }

  void ReadGateway(const std::string& name, const YamlValue& value) {
    if (!IsNew(name, value)) return;
    Gateway gateway;
    gateway.name = name;
    yaml_.Fields(value,
                 {{"listen", [&](const YamlValue& v) { ReadListen(v, &gateway.listen); }},
                  {"routes",
                   [&](const YamlValue& v) {
                     yaml_.List(v, [&](const YamlValue& r) {
                       ReadRoute(r, name, &gateway.routes.emplace_back());
                     });
                   }},
                  {"tcp",
                   [&](const YamlValue& v) {
                     if (yaml_.Name(v, &gateway.tcp_service)) {
                       references_.push_back({name, gateway.tcp_service, true, v});
                     }
                   }},
                  {"tls", [&](const YamlValue& v) { ReadTls(v, &gateway); }},
                  {"access_log", [&](const YamlValue& v) { yaml_.Text(v, &gateway.access_log); }}});
    if (!value.node.IsMap() || !value.node["listen"].IsDefined()) {
      yaml_.Mistake(value, "says not where to listen");
    }
    if (gateway.routes.empty() == gateway.tcp_service.empty()) {
      yaml_.Mistake(value, "needs either routes or tcp: SERVICE");
    }
    out_->services.gateways.emplace(name, std::move(gateway));
  }

  void ReadTls(const YamlValue& value, Gateway* gateway) {
    yaml_.Fields(
        value, {{"certificate", [&](const YamlValue& v) { yaml_.Text(v, &gateway->certificate); }},
                {"key", [&](const YamlValue& v) { yaml_.Text(v, &gateway->private_key); }}});
    if (gateway->certificate.empty() || gateway->private_key.empty()) {
      yaml_.Mistake(value, "needs certificate and key, both paths");
    }
  }

  void ReadRoute(const YamlValue& value, const std::string& gateway, Route* out) {
    auto target = [&](const YamlValue& where, const std::string& service, uint32_t weight) {
      out->to.push_back({service, weight});
      references_.push_back({gateway, service, false, where});
    };
    auto path = [&](std::string* to) {
      return [this, to](const YamlValue& v) {
        yaml_.Text(v, to);
        if (!absl::StartsWith(*to, "/")) {
          yaml_.Mistake(v, "a path begins with /");
        }
      };
    };
    yaml_.Fields(value, {{"host", [&](const YamlValue& v) { yaml_.Text(v, &out->host); }},
                         {"prefix", path(&out->prefix)},
                         {"path", path(&out->path)},
                         {"rewrite", path(&out->prefix_rewrite)},
                         {"service",
                          [&](const YamlValue& v) {
                            std::string name;
                            if (yaml_.Name(v, &name)) target(v, name, 1);
                          }},
                         {"split",
                          [&](const YamlValue& v) {
                            yaml_.Names(v, [&](const std::string& name, const YamlValue& w) {
                              uint32_t weight = 0;
                              yaml_.Number(w, 0, kMaxWeight, &weight);
                              target(w, name, weight);
                            });
                          }},
                         {"timeout", [&](const YamlValue& v) {
                            yaml_.Duration(v, absl::ZeroDuration(), &out->timeout.emplace());
                          }}});
    if (!value.node.IsMap()) return;
    if (value.node["service"].IsDefined() == value.node["split"].IsDefined()) {
      yaml_.Mistake(value, "needs either service or split");
      return;
    }
    uint64_t sum = 0;
    for (const Split& split : out->to) sum += split.weight;
    if (sum == 0) yaml_.Mistake(value, "all weights are 0");
  }

 public:
  // An upstream is reached in the way its service speaks, which another file
  // may say.
  void ResolveUpstreams() {
    for (Reference& ref : upstreams_) {
      auto found = out_->services.services.find(ref.callee);
      ref.tcp = found != out_->services.services.end() && found->second.protocol == Protocol::kTcp;
      references_.push_back(std::move(ref));
    }
    upstreams_.clear();
  }

 private:
  YamlReader yaml_;
  ParsedServices* out_;
  std::vector<Reference> references_;
  std::vector<Reference> upstreams_;
  std::vector<std::pair<std::string, YamlValue>> allowed_;
};

}  // namespace

std::string Address::ToString() const {
  const bool v6 = is_ip && host.find(':') != std::string::npos;
  return v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) ||
      port == 0 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected an address, HOST:PORT with a port from 1 to 65535, not '", text, "'"));
  }
  absl::string_view host = text.substr(0, colon);
  const bool bracketed = absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  Address address{std::string(host), static_cast<uint16_t>(port), true};
  in6_addr buffer;
  if (bracketed) {
    if (inet_pton(AF_INET6, address.host.c_str(), &buffer) == 1) return address;
  } else if (inet_pton(AF_INET, address.host.c_str(), &buffer) == 1) {
    return address;
  } else if (IsHostName(host)) {
    address.is_ip = false;
    return address;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", text, "' is no address (IPv6 goes in brackets)"));
}

absl::StatusOr<ParsedServices> ParseServices(const std::vector<NamedText>& texts) {
  ParsedServices parsed;
  std::vector<std::string> mistakes;
  std::vector<ServicesReader> readers;
  readers.reserve(texts.size());
  try {
    for (const NamedText& text : texts) {
      readers.emplace_back(text, &parsed, &mistakes);
    }
    for (ServicesReader& reader : readers) reader.ResolveUpstreams();
    for (ServicesReader& reader : readers) reader.CheckReferences();
  } catch (const YAML::Exception& e) {
    // Only a defect of ours can lead here; the last good state must survive it.
    mistakes.push_back(e.what());
  }
  if (!mistakes.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(mistakes, "\n"));
  }
  return parsed;
}

}  // namespace remora::control
