"""A stand-in for Azure on loopback, for the real `az`, the real provider and our commands.

They use Azure's public names. HTTPS_PROXY leads each of these names here, and the certificates come from an
authority that only the rehearsal trusts. Nothing leaves the machine. Each module imports only modules below
it:

cloud        all services together, by host name
entra        logins and tokens
arm          Resource Manager: resources, their operations, soft-deleted names, quota
apps         revisions of Container Apps, their logs and their answers
registry     builds, imports, and the images that they leave
vault        secrets
blobs        the storage of the state, and of what a build uploads
roles        what a login may do
kinds        what Azure adds to a resource of each kind
definitions  checks of bodies against Microsoft's definitions
faults       failures on request
state        everything that the cloud knows, so that a test can start from any point of a story
wire         requests and answers
proxy, tls   how they arrive
"""
