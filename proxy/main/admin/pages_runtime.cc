// Runtime values by layer.

#include <map>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "proxy/main/admin/page_handlers.h"

namespace remora::proxy {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kModifyUsage[] =
    "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n"
    "       or send the parameters as form values\n"
    "use an empty value to remove a previously added override";

}  // namespace

AdminResponse RuntimePage(AdminPages& pages, const AdminRequest& /*request*/) {
  const std::shared_ptr<const Runtime> runtime = pages.state().runtime();
  Json layers = Json::array();
  // Key to its text in each layer.
  std::map<std::string, std::vector<std::string>> values;
  const size_t count = runtime == nullptr ? 0 : runtime->layers().size();
  for (size_t i = 0; i < count; ++i) {
    const Runtime::Layer& layer = runtime->layers()[i];
    layers.push_back(layer.name);
    for (const auto& [key, value] : layer.values) {
      std::vector<std::string>& row = values[key];
      row.resize(count);
      row[i] = value.text;
    }
  }
  Json entries = Json::object();
  for (const auto& [key, row] : values) {
    const Runtime::Value* value = runtime->Find(key);
    entries[key] = {{"final_value", value == nullptr ? "" : value->text}, {"layer_values", row}};
  }
  const Json page = {{"entries", std::move(entries)}, {"layers", std::move(layers)}};
  AdminResponse response;
  response.content_type = kAdminJson;
  response.body = page.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  return response;
}

AdminResponse RuntimeModifyPage(AdminPages& pages, const AdminRequest& request) {
  AdminResponse response;
  if (request.query.empty()) {
    response.status = 400;
    response.body = kModifyUsage;
    return response;
  }
  const absl::Status status = pages.state().ModifyRuntime(request.query);
  if (!status.ok()) {
    response.status = 503;
    response.body = std::string(status.message());
    return response;
  }
  response.body = "OK\n";
  return response;
}

}  // namespace remora::proxy
