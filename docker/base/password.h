// Passwords, kept as scrypt hashes (OpenSSL) in the PHC format, so that the costs can change later:
//   $scrypt$ln=15,r=8,p=1$<salt>$<hash>
// Each call takes some 32 MiB and a tenth of a second. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace ebbtide {

std::string hash_password(std::string_view password);
// False too where hash is none.
bool is_password(std::string_view password, std::string_view hash);

}  // namespace ebbtide
