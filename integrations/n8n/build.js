// What tsc leaves out: icons go beside the nodes. With --check, that dist/ is there before the package is packed.
const fs = require('node:fs');
const path = require('node:path');

const icons = [
	['nodes/Watchtower/watchtower.svg', 'dist/nodes/Watchtower/watchtower.svg'],
	['nodes/Watchtower/watchtower.svg', 'dist/nodes/WatchtowerTrigger/watchtower.svg'],
];

if (process.argv.includes('--check')) {
	const { n8n } = JSON.parse(fs.readFileSync(path.join(__dirname, 'package.json'), 'utf8'));
	const wanted = [...n8n.credentials, ...n8n.nodes, ...icons.map((pair) => pair[1])];
	const missing = wanted.filter((file) => !fs.existsSync(path.join(__dirname, file)));
	if (missing.length > 0) {
		console.error(`not built: ${missing.join(', ')}; run npm run build`);
		process.exit(1);
	}
} else {
	for (const [from, to] of icons) fs.copyFileSync(path.join(__dirname, from), path.join(__dirname, to));
}
