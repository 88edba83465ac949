// The page for people: every command with a form for its parameters.

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "proxy/main/admin/page_handlers.h"

namespace remora::proxy {
namespace {

constexpr absl::string_view kHead = R"(<!DOCTYPE html>
<html lang='en'>
<head>
  <meta charset='utf-8'>
  <title>Remora Admin</title>
  <style>
    :root { color-scheme: light dark; font-family: sans-serif; }
    table { border-collapse: collapse; }
    td, th { text-align: left; padding: 4px 8px; vertical-align: top; }
    td.option { text-align: right; padding-left: 24px; }
    tr.first td { border-top: 1px solid #8888; }
    form { margin: 0; }
    button.link { background: none; border: none; padding: 0; font: inherit; color: #06c;
                  text-decoration: underline; cursor: pointer; }
  </style>
</head>
<body>
  <table>
    <thead><tr><th>Command</th><th>Description</th></tr></thead>
    <tbody>
)";
constexpr absl::string_view kTail = "    </tbody>\n  </table>\n</body>\n</html>\n";

std::string Escape(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"'", "&#39;"}, {"\"", "&quot;"}});
}

std::string Input(const AdminParameter& parameter, const std::string& form) {
  const std::string attributes = absl::StrCat("name='", parameter.name, "' form='", form, "'");
  switch (parameter.kind) {
    case AdminParameter::Kind::kFlag:
      return absl::StrCat("<input type='checkbox' ", attributes, ">");
    case AdminParameter::Kind::kText:
      return absl::StrCat("<input type='text' ", attributes, ">");
    case AdminParameter::Kind::kChoice:
      break;
  }
  std::string out = absl::StrCat("<select ", attributes, ">");
  for (absl::string_view choice : absl::StrSplit(parameter.choices, ", ")) {
    absl::StrAppend(&out, "<option>", Escape(choice), "</option>");
  }
  return out + "</select>";
}

void AppendPage(const AdminPage& page, std::string* out) {
  const std::string name(page.path.substr(1));
  const std::string id = absl::StrReplaceAll(name, {{"/", "-"}});
  absl::StrAppend(out, "      <tr class='first'><td>");
  if (!page.mutates && page.parameters.empty()) {
    absl::StrAppend(out, "<a href='", name, "'>", name, "</a>");
  } else {
    absl::StrAppend(out, "<form id='", id, "' action='", name, "' method='",
                    page.mutates ? "post" : "get", "'><button", page.mutates ? "" : " class='link'",
                    ">", name, "</button></form>");
  }
  absl::StrAppend(out, "</td><td>", Escape(page.help), "</td></tr>\n");
  for (const AdminParameter& parameter : page.parameters) {
    absl::StrAppend(out, "      <tr><td class='option'>", Input(parameter, id), "</td><td>",
                    parameter.name, ": ", Escape(parameter.help), "</td></tr>\n");
  }
}

}  // namespace

AdminResponse HomePage(AdminPages& /*pages*/, const AdminRequest& /*request*/) {
  AdminResponse response;
  response.content_type = kAdminHtml;
  response.body = std::string(kHead);
  for (const AdminPage& page : AdminPages::Table()) {
    if (page.path != "/") AppendPage(page, &response.body);
  }
  absl::StrAppend(&response.body, kTail);
  return response;
}

}  // namespace remora::proxy
