import type {
	IDataObject,
	IExecuteFunctions,
	IHttpRequestMethods,
	INodeExecutionData,
	INodeType,
	INodeTypeDescription,
	JsonObject,
} from 'n8n-workflow';
import { NodeApiError, NodeConnectionTypes, NodeOperationError } from 'n8n-workflow';

const ON_ONE = ['acknowledge', 'assign', 'comment', 'get', 'resolve'];

/** Alerts and events of Watchtower. Its rules decide; this node asks, tells and acts in the name of its key. */
export class Watchtower implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'Watchtower',
		name: 'watchtower',
		icon: 'file:watchtower.svg',
		group: ['transform'],
		version: 1,
		subtitle: '={{$parameter["operation"] + ": " + $parameter["resource"]}}',
		description: 'Acknowledge, resolve and list alerts of Watchtower; send it events',
		defaults: { name: 'Watchtower' },
		inputs: [NodeConnectionTypes.Main],
		outputs: [NodeConnectionTypes.Main],
		usableAsTool: true,
		credentials: [{ name: 'watchtowerApi', required: true }],
		properties: [
			{
				displayName: 'Resource',
				name: 'resource',
				type: 'options',
				noDataExpression: true,
				options: [
					{ name: 'Alert', value: 'alert' },
					{ name: 'Event', value: 'event' },
				],
				default: 'alert',
			},
			{
				displayName: 'Operation',
				name: 'operation',
				type: 'options',
				noDataExpression: true,
				displayOptions: { show: { resource: ['alert'] } },
				options: [
					{ name: 'Acknowledge', value: 'acknowledge', action: 'Acknowledge an alert' },
					{ name: 'Assign', value: 'assign', action: 'Assign an alert' },
					{ name: 'Comment', value: 'comment', action: 'Comment on an alert' },
					{ name: 'Get', value: 'get', action: 'Get an alert' },
					{ name: 'Get Many', value: 'getAll', action: 'Get many alerts' },
					{ name: 'Resolve', value: 'resolve', action: 'Resolve an alert' },
				],
				default: 'getAll',
			},
			{
				displayName: 'Operation',
				name: 'operation',
				type: 'options',
				noDataExpression: true,
				displayOptions: { show: { resource: ['event'] } },
				options: [{ name: 'Send', value: 'send', action: 'Send an event' }],
				default: 'send',
			},
			{
				displayName: 'Alert ID',
				name: 'alertId',
				type: 'string',
				required: true,
				default: '',
				placeholder: '={{ $json.data.id }}',
				displayOptions: { show: { resource: ['alert'], operation: ON_ONE } },
			},
			{
				displayName: 'Note',
				name: 'note',
				type: 'string',
				default: '',
				displayOptions: {
					show: { resource: ['alert'], operation: ['acknowledge', 'assign', 'comment', 'resolve'] },
				},
			},
			{
				displayName: 'Assignee',
				name: 'assignee',
				type: 'string',
				required: true,
				default: '',
				displayOptions: { show: { resource: ['alert'], operation: ['assign'] } },
			},
			{
				displayName: 'Verdict',
				name: 'verdict',
				type: 'options',
				options: [
					{ name: 'Done', value: 'done' },
					{ name: 'False Alarm', value: 'false_alarm' },
				],
				default: 'done',
				description: 'A false alarm counts against the rule',
				displayOptions: { show: { resource: ['alert'], operation: ['resolve'] } },
			},
			{
				displayName: 'Limit',
				name: 'limit',
				type: 'number',
				typeOptions: { minValue: 1, maxValue: 10000 },
				default: 50,
				description: 'Max number of results to return',
				displayOptions: { show: { resource: ['alert'], operation: ['getAll'] } },
			},
			{
				displayName: 'Filters',
				name: 'filters',
				type: 'collection',
				placeholder: 'Add Filter',
				default: {},
				displayOptions: { show: { resource: ['alert'], operation: ['getAll'] } },
				options: [
					{ displayName: 'Owner', name: 'owner', type: 'string', default: '' },
					{ displayName: 'Queue', name: 'queue', type: 'string', default: '' },
					{ displayName: 'Record', name: 'record', type: 'string', default: '', placeholder: 'lead/L-17' },
					{ displayName: 'Rule', name: 'rule', type: 'string', default: '' },
					{ displayName: 'Severity', name: 'severity', type: 'string', default: '' },
					{ displayName: 'Status', name: 'status', type: 'string', default: 'open' },
				],
			},
			{
				displayName: 'Record',
				name: 'subject',
				type: 'string',
				required: true,
				default: '',
				placeholder: 'lead/L-17',
				displayOptions: { show: { resource: ['event'] } },
			},
			{
				displayName: 'Type',
				name: 'type',
				type: 'string',
				required: true,
				default: 'record.updated',
				description: 'Such as record.updated, activity.logged or usage.recorded',
				displayOptions: { show: { resource: ['event'] } },
			},
			{
				displayName: 'Source',
				name: 'source',
				type: 'string',
				required: true,
				default: 'n8n',
				description: "The name of the key, where the key is a source's",
				displayOptions: { show: { resource: ['event'] } },
			},
			{
				displayName: 'Data',
				name: 'data',
				type: 'json',
				default: '{"fields": {}}',
				displayOptions: { show: { resource: ['event'] } },
			},
			{
				displayName: 'Event ID',
				name: 'eventId',
				type: 'string',
				default: '',
				description:
					'The same ID is taken once. Empty: made of the execution and the item, so that a retried request is taken once, and a new execution is a new event.',
				displayOptions: { show: { resource: ['event'] } },
			},
			{
				displayName: 'Time',
				name: 'time',
				type: 'string',
				default: '',
				placeholder: '2026-03-02T09:00:00Z',
				description: 'When it happened, with its offset. Empty: now.',
				displayOptions: { show: { resource: ['event'] } },
			},
		],
	};

	async execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]> {
		const found: INodeExecutionData[] = [];
		for (let item = 0; item < this.getInputData().length; item++) {
			try {
				const said = await one.call(this, item);
				for (const json of said) found.push({ json, pairedItem: { item } });
			} catch (error) {
				if (!this.continueOnFail()) throw error;
				found.push({ json: { error: (error as Error).message }, pairedItem: { item } });
			}
		}
		return [found];
	}
}

async function one(this: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	const operation = this.getNodeParameter('operation', item) as string;
	if (operation === 'send') return [await send.call(this, item)];
	if (operation === 'getAll') return await many.call(this, item);
	const id = encodeURIComponent(this.getNodeParameter('alertId', item) as string);
	if (operation === 'get') return [await call.call(this, item, 'GET', `/alerts/${id}`)];
	const body: IDataObject = { note: this.getNodeParameter('note', item, '') as string };
	if (operation === 'assign') body.assignee = this.getNodeParameter('assignee', item) as string;
	if (operation === 'resolve') body.verdict = this.getNodeParameter('verdict', item) as string;
	return [await call.call(this, item, 'POST', `/alerts/${id}/${operation}`, body)];
}

async function send(this: IExecuteFunctions, item: number): Promise<IDataObject> {
	const given = this.getNodeParameter('data', item) as string | IDataObject;
	let data: unknown = given;
	if (typeof given === 'string') {
		try {
			data = JSON.parse(given);
		} catch {
			throw new NodeOperationError(this.getNode(), 'Data is not JSON', { itemIndex: item });
		}
	}
	const made = `${this.getExecutionId()}.${this.getNode().name}.${item}`;
	return await call.call(this, item, 'POST', '/events', {
		specversion: '1.0',
		id: (this.getNodeParameter('eventId', item, '') as string) || made,
		source: this.getNodeParameter('source', item) as string,
		type: this.getNodeParameter('type', item) as string,
		subject: this.getNodeParameter('subject', item) as string,
		time: (this.getNodeParameter('time', item, '') as string) || new Date().toISOString(),
		data: data as IDataObject,
	});
}

async function many(this: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	const limit = this.getNodeParameter('limit', item) as number;
	const filters = this.getNodeParameter('filters', item, {}) as IDataObject;
	const query = new URLSearchParams();
	for (const [name, value] of Object.entries(filters)) if (value) query.append(name, String(value));
	const found: IDataObject[] = [];
	for (;;) {
		query.set('limit', String(Math.min(limit - found.length, 200)));
		const page = await call.call(this, item, 'GET', `/alerts?${query.toString()}`);
		found.push(...(page.items as IDataObject[]));
		if (!page.next || found.length >= limit) return found;
		query.set('cursor', String(page.next));
	}
}

async function call(
	this: IExecuteFunctions,
	item: number,
	method: IHttpRequestMethods,
	path: string,
	body?: IDataObject,
): Promise<IDataObject> {
	const { baseUrl } = await this.getCredentials<{ baseUrl: string }>('watchtowerApi', item);
	try {
		return (await this.helpers.httpRequestWithAuthentication.call(this, 'watchtowerApi', {
			method,
			url: `${baseUrl.replace(/\/+$/, '')}${path}`,
			body,
			json: true,
		})) as IDataObject;
	} catch (error) {
		throw new NodeApiError(this.getNode(), error as JsonObject, { itemIndex: item });
	}
}
