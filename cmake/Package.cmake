# What is installed, and the Debian package: cpack -G DEB --config build/release/CPackConfig.cmake
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # a package takes the program as it was built
install(TARGETS ebbtide RUNTIME DESTINATION bin)
install(FILES deploy/ebbtide.service DESTINATION /usr/lib/systemd/system)
install(FILES deploy/ebbtide.toml DESTINATION /etc/ebbtide PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
install(PROGRAMS deploy/drain.sh DESTINATION lib/ebbtide)
install(FILES README.md ARCHITECTURE.md deploy/host.conf deploy/debian/copyright DESTINATION share/doc/ebbtide)
install(DIRECTORY docs DESTINATION share/doc/ebbtide)

set(changelog ${CMAKE_BINARY_DIR}/changelog)
file(WRITE ${changelog} "ebbtide (${PROJECT_VERSION}) bookworm; urgency=medium\n\n  * Release ${PROJECT_VERSION}.\n\n"
  " -- The Ebbtide maintainers <maintainers@ebbtide.invalid>  Thu, 01 Jan 1970 00:00:00 +0000\n")
execute_process(COMMAND gzip -9nf ${changelog})
install(FILES ${changelog}.gz DESTINATION share/doc/ebbtide)

set(CPACK_PACKAGE_NAME ebbtide)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The Ebbtide maintainers <maintainers@ebbtide.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "GoCD elastic agents on Docker that leave nothing behind")
set(CPACK_PACKAGE_DESCRIPTION "A server that makes one container for each job of GoCD and removes it
after the job, with all that the job brought up on the Docker engine.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_GENERATOR DEB)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "docker.io | docker-ce")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "curl, jq")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${PROJECT_SOURCE_DIR}/deploy/debian/conffiles ${PROJECT_SOURCE_DIR}/deploy/debian/postinst
  ${PROJECT_SOURCE_DIR}/deploy/debian/prerm ${PROJECT_SOURCE_DIR}/deploy/debian/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
