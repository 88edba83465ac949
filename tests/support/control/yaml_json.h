// YAML as JSON, so that protobuf can read it strictly.
#ifndef REMORA_TESTS_SUPPORT_CONTROL_YAML_JSON_H_
#define REMORA_TESTS_SUPPORT_CONTROL_YAML_JSON_H_

#include <yaml-cpp/yaml.h>

#include <string>

#include <nlohmann/json.hpp>

namespace remora::control {

inline nlohmann::json ToJson(const YAML::Node& node) {
  if (node.IsMap()) {
    nlohmann::json out = nlohmann::json::object();
    for (const auto& pair : node) out[pair.first.Scalar()] = ToJson(pair.second);
    return out;
  }
  if (node.IsSequence()) {
    nlohmann::json out = nlohmann::json::array();
    for (const auto& item : node) out.push_back(ToJson(item));
    return out;
  }
  if (node.Tag() == "?" && (node.Scalar() == "true" || node.Scalar() == "false")) {
    return node.Scalar() == "true";
  }
  return node.Scalar();
}

}  // namespace remora::control

#endif  // REMORA_TESTS_SUPPORT_CONTROL_YAML_JSON_H_
